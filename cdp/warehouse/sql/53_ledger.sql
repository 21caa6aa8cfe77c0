-- Add to the ledger what no run has seen before; run again, it adds nothing.
-- grain:   one row per statement
-- inputs:  statement
-- params:  @now TIMESTAMP, @policy STRING: its digest, @seq INT64
insert into consent_statement (
  statement_id, type, value, purpose, state, said_at, source, explicit, evidence, told_at, told_by,
  notice, policy, seq
)
with named as (
  select
    to_hex(md5(concat(
      type, '|', value, '|', purpose, '|', state, '|', cast(unix_micros(said_at) as string), '|', source
    ))) as statement_id,
    type, value, purpose, state, said_at, source, explicit, evidence, told_at, told_by, notice
  from statement
),
once as (
  select * from named
  where true
  qualify row_number() over (partition by statement_id order by told_at, evidence) = 1
)
select
  o.statement_id, o.type, o.value, o.purpose, o.state, o.said_at, o.source, o.explicit, o.evidence,
  coalesce(o.told_at, @now), o.told_by, nullif(o.notice, ''), @policy, @seq
from once as o
left join consent_statement as c on c.statement_id = o.statement_id
where c.statement_id is null
