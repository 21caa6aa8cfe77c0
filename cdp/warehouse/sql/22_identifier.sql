-- Identifiers that may be in a profile: permitted clients, and both ends of admitted links.
-- grain:   one row per identifier (type, value)
-- inputs:  client, link
-- output:  identifier_id INT64: 60 bits of a SHA-256 over type and value, the same in every run
create or replace table identifier
cluster by identifier_id
as
with ends as (
  select
    cast(concat('0x', substr(to_hex(sha256(concat('client_id|', client_key))), 1, 15)) as int64)
      as identifier_id,
    'client_id' as type, client_key as value, first_seen, last_seen
  from client
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
