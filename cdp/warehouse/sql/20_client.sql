-- Clients that may be linked and measured, from rows whose analytics state permits it.
-- grain:   one row per client_key
-- inputs:  session_day
-- params:  @analytics_states ARRAY<STRING>: the states that permit
create or replace table client
cluster by client_id
as
select
  client_key,
  max(client_id) as client_id,
  min(first_at) as first_seen,
  max(last_at) as last_seen
from session_day
where analytics in unnest(@analytics_states)
group by client_key
