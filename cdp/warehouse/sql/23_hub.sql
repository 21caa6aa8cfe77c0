-- Identifiers that join more values of a type than the policy allows: shared devices, shared
-- mailboxes, test accounts. None of their pairs with that type enters the graph.
-- grain:   one row per identifier and the type it joins too many of
-- inputs:  link
-- params:  @limits ARRAY<STRING> of 'type|joined type|most'
create or replace table hub
cluster by identifier_id
as
with pair as (
  select distinct a_id, a_type, b_id, b_type from link where kept_out is null
),
directed as (
  select a_id as identifier_id, a_type as type, b_type as joins, b_id as other from pair
  union all
  select b_id, b_type, a_type, a_id from pair
),
limits as (
  select
    split(l, '|')[safe_offset(0)] as type,
    split(l, '|')[safe_offset(1)] as joins,
    cast(split(l, '|')[safe_offset(2)] as int64) as most
  from unnest(@limits) as l
)
select d.identifier_id, d.type, d.joins, count(*) as joined, max(l.most) as most
from directed as d
join limits as l on l.type = d.type and l.joins = d.joins
group by d.identifier_id, d.type, d.joins
having count(*) > max(l.most)
