-- Identifiers that may be in a profile: permitted clients, and both ends of admitted links.
-- grain:   one row per identifier
-- inputs:  client, link, known
create or replace table identifier
cluster by identifier_id
as
with ends as (
  select k.identifier_id, k.type, k.value, c.first_seen, c.last_seen
  from client as c
  join known as k on k.type = 'client_id' and k.value = c.client_key
  union all
  select a_id, a_type, a_value, first_seen, last_seen from link where kept_out is null
  union all
  select b_id, b_type, b_value, first_seen, last_seen from link where kept_out is null
)
select
  identifier_id, type, value,
  min(first_seen) as first_seen,
  max(last_seen) as last_seen
from ends
group by identifier_id, type, value
