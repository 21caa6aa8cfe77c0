-- Identifiers of loaded links and decisions that nobody has spelled yet by the rules in force.
-- grain:   one row per type, text and, of phone numbers, source
-- inputs:  raw_link, raw_decision, spelling
-- params:  @rules STRING, @most INT64
with named as (
  select a_type as type, a_value as told, source from raw_link
  union all
  select b_type, b_value, source from raw_link
  union all
  select type, value, source from raw_decision
),
once as (
  select distinct type, told, if(type = 'phone', lower(trim(source)), '') as source from named
)
select o.type, o.told, o.source
from once as o
left join spelling as s
  on s.type = o.type and s.told = o.told and s.source = o.source and s.rules = @rules
where s.type is null
limit @most
