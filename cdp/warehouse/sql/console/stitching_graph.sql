-- Which identifiers of a profile are joined, without evidence: to find ways, and what to draw.
-- grain:   one row per edge, those at the best connected identifiers first
-- inputs:  identity, edge
-- params:  @profile_id STRING, @most INT64
-- output:  edges INT64: how many the profile has
with member as (
  select identifier_id from identity where present and profile_id = @profile_id
),
inside as (
  select e.a_id, e.b_id, e.last_seen
  from member as m
  join edge as e on e.a_id = m.identifier_id
),
ends as (
  select a_id as identifier_id from inside
  union all
  select b_id from inside
),
connected as (
  select identifier_id, count(*) as degree from ends group by identifier_id
)
select
  cast(e.a_id as string) as a, cast(e.b_id as string) as b, e.last_seen,
  count(*) over () as edges
from inside as e
join connected as ca on ca.identifier_id = e.a_id
join connected as cb on cb.identifier_id = e.b_id
order by
  greatest(ca.degree, cb.degree) desc, least(ca.degree, cb.degree) desc,
  e.last_seen desc, e.a_id, e.b_id
limit @most
