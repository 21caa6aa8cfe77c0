-- Identifiers that join more values of a type than the policy allows: shared devices, shared
-- mailboxes, test accounts. They stand for no one person, so none of their pairs enters the graph.
-- grain:   one row per identifier and the type it joins too many of
-- inputs:  link: also pairs seen without consent to link. They join nobody, but they do tell that
--          an identifier is not one person's.
-- params:  @limits ARRAY<STRING> of 'type|joined type|most'
create or replace table hub
cluster by identifier_id
as
with pair as (
  select distinct a_id, a_type, b_id, b_type from link
  where kept_out is null or starts_with(kept_out, 'consent')
),
directed as (
  select a_id as identifier_id, a_type as type, b_type as joins, b_id as other from pair
  union all
  select b_id, b_type, a_type, a_id from pair
),
reached as (
  select identifier_id, type, joins, other from directed
  union distinct
  -- A device joins also the users whose e-mail address or phone number was left on it.
  select d.identifier_id, d.type, p.joins, p.other
  from directed as d
  join directed as p on p.identifier_id = d.other
  where d.type = 'client_id' and d.joins in ('email', 'phone') and p.joins = 'user_id'
),
limits as (
  select
    split(l, '|')[safe_offset(0)] as type,
    split(l, '|')[safe_offset(1)] as joins,
    cast(split(l, '|')[safe_offset(2)] as int64) as most
  from unnest(@limits) as l
)
select d.identifier_id, d.type, d.joins, count(*) as joined, max(l.most) as most
from reached as d
join limits as l on l.type = d.type and l.joins = d.joins
group by d.identifier_id, d.type, d.joins
having count(*) > max(l.most)
