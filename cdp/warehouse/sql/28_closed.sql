-- Identifiers that deny to be joined: none of their pairs enters the graph, but their No still binds
-- whom they would have been joined with.
-- grain:   beside: one row per identifier and another that it would be joined with; closed: one row per
--          identifier; bound: one per pair of a closed identifier and another
-- inputs:  link, hub, identifier, word
-- params:  @linking STRING: the purpose under which identifiers are joined
-- rule:    a newer explicit Yes that stands on a user id sets the No of what was seen with it aside,
--          and never that of another user id
create or replace table beside
cluster by identifier_id
as
with shared as (
  select distinct identifier_id from hub
),
pairs as (
  select distinct l.a_id, l.b_id
  from link as l
  left join shared as a on a.identifier_id = l.a_id
  left join shared as b on b.identifier_id = l.b_id
  where l.kept_out is null and a.identifier_id is null and b.identifier_id is null
)
select a_id as identifier_id, b_id as other_id from pairs
union all
select b_id, a_id from pairs;

create or replace table closed
cluster by identifier_id
as
with told as (
  select i.identifier_id, i.type, w.state, w.denied_at, w.yes_at
  from identifier as i
  join word as w on w.subject = concat(i.type, '|', i.value) and w.purpose = @linking
),
standing as (
  select b.identifier_id, max(u.yes_at) as yes_at
  from beside as b
  join told as u on u.identifier_id = b.other_id
  where u.type = 'user_id'
  group by b.identifier_id
)
select t.identifier_id, t.type, t.denied_at
from told as t
left join standing as s on s.identifier_id = t.identifier_id
where t.state = 'denied'
  and (t.type = 'user_id' or s.yes_at is null or s.yes_at <= t.denied_at);

create or replace table bound
cluster by identifier_id
as
select c.identifier_id, b.other_id
from closed as c
join beside as b on b.identifier_id = c.identifier_id
