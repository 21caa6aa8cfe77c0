-- What the warehouse still holds of who was erased.
-- grain:   one row per identifier
-- inputs:  tombstone, events, session_day, link_day, consent_signal, consent_statement, spelling,
--          identifier_key, identity
-- params:  @key STRING: see 22_keyed
-- output:  value STRING: as it is joined, a client by its key; null where only its number is left
-- A client that is in no profile is known by its bare id alone.
with met as (
  select 'client_id' as type, client_key as value, client_key as told from session_day
  union distinct
  select 'client_id', client_key, client_id from session_day
  union distinct
  select 'user_id', user_id, user_id from link_day
  union distinct
  select 'user_id', user_id, user_id from events where client_key is null and user_id is not null
  union distinct
  select type, value, value from consent_signal
  union distinct
  select type, value, value from consent_statement
  union distinct
  select type, value, value from spelling where problem is null
),
named as (
  select
    type, value,
    to_hex(sha256(concat(@key, to_hex(sha256(concat(@key, type, '|', told)))))) as keyed
  from met
),
stone as (
  select distinct keyed from tombstone
)
select n.type, n.value, i.identifier_id, p.profile_id
from stone as s
left join named as n on n.keyed = s.keyed
left join identifier_key as i on i.keyed = s.keyed
left join identity as p on p.identifier_id = i.identifier_id
where n.value is not null or i.identifier_id is not null
