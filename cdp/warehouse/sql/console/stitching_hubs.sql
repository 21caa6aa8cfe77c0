-- The hubs that join most, each with its value.
-- grain:   one row per hub and the type it joins too many of, the worst first
-- inputs:  hub, link, identity, identifier_permit
-- params:  @limit INT64
-- output:  granted STRING '|analytics||ads|': the purposes that the hub's consent permits; null
--          where it is in no profile
with worst as (
  select identifier_id, type, joins, joined, most
  from hub
  order by joined desc, identifier_id, joins
  limit @limit
),
valued as (
  select w.identifier_id, max(l.a_value) as value
  from worst as w
  join link as l on l.a_id = w.identifier_id
  group by w.identifier_id
  union distinct
  select w.identifier_id, max(l.b_value)
  from worst as w
  join link as l on l.b_id = w.identifier_id
  group by w.identifier_id
)
select
  cast(w.identifier_id as string) as identifier_id, w.type, v.value, w.joins, w.joined, w.most,
  m.granted
from worst as w
join valued as v on v.identifier_id = w.identifier_id
left join identity as p on p.identifier_id = w.identifier_id and p.present
left join identifier_permit as m on m.identifier_id = p.identifier_id
order by w.joined desc, w.identifier_id, w.joins
