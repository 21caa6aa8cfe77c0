-- What tables hold of who was erased.
-- grain:   one row per table that holds any
-- inputs:  every table with an identifier in it; tombstone
-- params:  @key STRING: see 22_keyed; @stones ARRAY<STRING>: tombstones to look for besides
with met as (
  select 'events' as table_name, 'client_id' as type, client_key as value from events
  union distinct
  select 'events', 'client_id', client_id from events
  union distinct
  select 'events', 'user_id', user_id from events
  union distinct
  select 'session_day', 'client_id', client_key from session_day
  union distinct
  select 'session_day', 'client_id', client_id from session_day
  union distinct
  select 'purchase', 'client_id', client_key from purchase
  union distinct
  select 'link_day', 'client_id', client_key from link_day
  union distinct
  select 'link_day', 'user_id', user_id from link_day
  union distinct
  select 'consent_signal', type, value from consent_signal
  union distinct
  select 'consent_statement', type, value from consent_statement
  union distinct
  select 'desk_decision', type, value from desk_decision
  union distinct
  select 'spelling', type, value from spelling
  union distinct
  select 'statement', type, value from statement
  union distinct
  select 'client', 'client_id', client_key from client
  union distinct
  select 'pair', a_type, a_value from pair
  union distinct
  select 'pair', b_type, b_value from pair
  union distinct
  select 'known', type, value from known
  union distinct
  select 'identifier', type, value from identifier
),
named as (
  select
    table_name,
    to_hex(sha256(concat(@key, to_hex(sha256(concat(@key, type, '|', value)))))) as keyed
  from met
),
stone as (
  select keyed from tombstone
  union distinct
  select s from unnest(@stones) as s
)
select n.table_name, count(*) as held
from named as n
join stone as s on s.keyed = n.keyed
group by n.table_name
order by n.table_name
