-- Bring decisions that people wrote down at the console into the warehouse; run again, it adds none.
-- grain:   that of desk_decision
-- params:  @decided ARRAY<STRING>: JSON of decision_id, type, value, purpose, state, at, source, by
--          and notice
insert into desk_decision (
  decision_id, type, value, purpose, state, decided_at, source, told_by, notice
)
with told as (
  select
    json_value(d, '$.decision_id') as decision_id,
    json_value(d, '$.type') as type,
    json_value(d, '$.value') as value,
    json_value(d, '$.purpose') as purpose,
    json_value(d, '$.state') as state,
    cast(json_value(d, '$.at') as timestamp) as decided_at,
    json_value(d, '$.source') as source,
    json_value(d, '$.by') as told_by,
    json_value(d, '$.notice') as notice
  from unnest(@decided) as d
)
select
  t.decision_id, t.type, t.value, t.purpose, t.state, t.decided_at, t.source, t.told_by, t.notice
from told as t
left join desk_decision as k on k.decision_id = t.decision_id
where k.decision_id is null
