-- Keep how some identifiers are spelled, instead of what other rules made of them.
-- grain:   one row per identifier
-- params:  @rules STRING; @spelled ARRAY<STRING>: JSON of type, told, source, value and problem
begin transaction;

delete from spelling where rules <> @rules;

insert into spelling (type, told, source, value, problem, rules)
with fresh as (
  select
    json_value(s, '$.type') as type, json_value(s, '$.told') as told,
    json_value(s, '$.source') as source, json_value(s, '$.value') as value,
    json_value(s, '$.problem') as problem
  from unnest(@spelled) as s
)
select n.type, n.told, n.source, n.value, n.problem, @rules
from fresh as n
left join spelling as s on s.type = n.type and s.told = n.told and s.source = n.source
where s.type is null;

commit transaction
