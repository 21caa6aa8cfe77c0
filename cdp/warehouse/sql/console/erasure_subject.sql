-- Whoever has one of some identifiers: all that is joined with it.
-- grain:   one row per identifier
-- inputs:  known, client, identity, session_day
-- params:  @values ARRAY<STRING>: as they are joined; a client also by its bare id; a profile by its id
-- output:  value STRING: a client by its key; null where the last run has not met it
with met as (
  select k.identifier_id
  from known as k
  left join client as c on k.type = 'client_id' and c.client_key = k.value
  where k.value in unnest(@values) or c.client_id in unnest(@values)
),
theirs as (
  select distinct p.profile_id
  from identity as p
  join met as m on m.identifier_id = p.identifier_id
  union distinct
  select distinct profile_id from identity where profile_id in unnest(@values)
),
everything as (
  select identifier_id from met
  union distinct
  select p.identifier_id
  from identity as p
  join theirs as t on t.profile_id = p.profile_id
),
-- Who was not asked for consent is counted, and joined with nothing.
device as (
  select distinct client_key
  from session_day
  where client_id in unnest(@values) or client_key in unnest(@values)
),
held as (
  select k.type, k.value, e.identifier_id, p.profile_id
  from everything as e
  left join known as k on k.identifier_id = e.identifier_id
  left join identity as p on p.identifier_id = e.identifier_id
  union all
  select 'client_id', d.client_key, cast(null as int64), cast(null as string)
  from device as d
  left join known as k on k.type = 'client_id' and k.value = d.client_key
  where k.identifier_id is null
)
select type, value, identifier_id, profile_id
from held
order by type, value
