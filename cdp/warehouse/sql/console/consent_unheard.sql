-- Decisions without effect, the newest first. Whose they are nobody is told: they are nobody's whom
-- consent permits to show.
-- grain:   one row per decision, as loaded or written down at the console
-- inputs:  raw_decision, desk_decision, spelling, identity, identifier, client
-- params:  @purposes ARRAY<STRING>, @rules STRING: names the rules of spelling, @most INT64: rows
-- output:  reason STRING: no such purpose, what is wrong with the identifier, not read yet, or nobody;
--          decisions INT64: in all; evidence STRING: file and line, or the console's row
with held as (
  select distinct i.type, coalesce(c.client_id, i.value) as value
  from identity as p
  join identifier as i on i.identifier_id = p.identifier_id
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where p.present
),
told as (
  select
    r.type, s.value, s.problem, s.type is null as unread,
    r.purpose, r.state, lower(trim(r.source)) as source, r.decided_at,
    coalesce(concat(r.name, ', line ', cast(r.line as string)), r.file) as evidence
  from raw_decision as r
  left join spelling as s
    on s.type = r.type and s.told = r.value and s.rules = @rules
      and s.source = if(r.type = 'phone', lower(trim(r.source)), '')
  union all
  select
    type, value, cast(null as string), false, purpose, state, lower(trim(source)), decided_at,
    concat('decision ', decision_id)
  from desk_decision
),
judged as (
  select
    t.type, t.purpose, t.state, t.source, t.decided_at, t.evidence,
    case
      when not t.purpose in unnest(@purposes) then 'no such purpose'
      when t.unread then 'not read yet'
      when t.problem is not null then t.problem
      when h.type is null then 'nobody'
    end as reason
  from told as t
  left join held as h on h.type = t.type and h.value = t.value
)
select
  type, purpose, state, source, decided_at, evidence, reason, count(*) over () as decisions
from judged
where reason is not null
order by decided_at desc, evidence, type, purpose, state, source
limit @most
