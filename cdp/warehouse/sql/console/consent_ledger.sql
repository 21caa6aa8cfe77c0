-- All that the ledger holds of an identifier and of the person whose it is, the newest first; also of
-- identifiers that are in no profile, and that no document holds.
-- grain:   one row per statement
-- inputs:  consent_statement, identity, identifier, client, bound, identifier_permit
-- params:  @names ARRAY<STRING>: how what is looked for may be joined, a client by its bare id, or a
--          profile's id; @most INT64: rows
-- output:  asked BOOL: of an identifier that is looked for; profile_id STRING: whose it is, null:
--          nobody's; granted STRING '|analytics||ads|': the purposes that its consent permits
with named as (
  select i.identifier_id
  from identifier as i
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where coalesce(c.client_id, i.value) in unnest(@names)
),
person as (
  select distinct p.profile_id
  from identity as p
  left join (
    select identifier_id from named
    union distinct
    select b.other_id from bound as b join named as n on n.identifier_id = b.identifier_id
  ) as n on n.identifier_id = p.identifier_id
  where p.present and (n.identifier_id is not null or p.profile_id in unnest(@names))
),
member as (
  select p.identifier_id, min(p.profile_id) as profile_id
  from identity as p
  join person as t on t.profile_id = p.profile_id
  where p.present
  group by p.identifier_id
),
every as (
  select identifier_id from member
  union distinct
  select b.identifier_id from bound as b join member as m on m.identifier_id = b.other_id
),
theirs as (
  select i.type, i.value, m.profile_id, g.granted
  from every as e
  join identifier as i on i.identifier_id = e.identifier_id
  left join member as m on m.identifier_id = e.identifier_id
  left join identifier_permit as g on g.identifier_id = e.identifier_id
),
spoken as (
  select
    type, value, purpose, state, said_at, source, explicit, evidence, told_by, notice,
    -- A client by its key, property/stream/client id, or where no export has seen it by its bare id.
    if(type = 'client_id', coalesce(split(value, '/')[safe_offset(2)], value), value) as bare
  from consent_statement
)
select
  s.said_at, s.purpose, s.state, s.source, s.explicit, s.type, s.bare as value, s.evidence,
  s.told_by, nullif(s.notice, '') as notice, s.bare in unnest(@names) as asked, t.profile_id,
  t.granted
from spoken as s
left join theirs as t on t.type = s.type and t.value = s.value
where s.bare in unnest(@names) or t.type is not null
order by s.said_at desc, s.purpose, s.state, s.source, s.type, s.bare
limit @most
