-- One state a purpose and profile, with the signal that decided it.
-- grain:   one row per profile and purpose of which anything is known
-- inputs:  consent_signal, raw_decision (a row per loaded decision), client, identity
-- params:  @explicit_sources ARRAY<STRING>, @purposes ARRAY<STRING>
-- rule:    the newest signal wins within one identifier (of two at one instant, the denial); across
--          a profile's identifiers the most restrictive wins; the newest explicit decision stands
--          above both. Source: GDPR Art. 4(11), 7(3).
create or replace table profile_consent
cluster by profile_id
as
with decided as (
  select
    type,
    case type
      when 'email' then lower(trim(value))
      when 'phone' then concat('+', regexp_replace(value, r'[^0-9]', ''))
      else trim(value) end as value,
    purpose, state, decided_at, source
  from raw_decision
  where purpose in unnest(@purposes)
),
told as (
  select type, value, purpose, state, first_at, last_at, 'ga4' as source, false as explicit
  from consent_signal
  where purpose in unnest(@purposes)
  union all
  select
    d.type, coalesce(c.client_key, d.value), d.purpose, d.state, d.decided_at, d.decided_at,
    d.source, d.source in unnest(@explicit_sources)
  from decided as d
  left join client as c on d.type = 'client_id' and c.client_id = d.value
),
-- Since when: the first signal of the state in force. One row an identifier, purpose, state and source.
told_once as (
  select
    cast(concat('0x', substr(to_hex(sha256(concat(type, '|', value))), 1, 15)) as int64)
      as identifier_id,
    purpose, state, source, explicit,
    min(first_at) as first_at, max(last_at) as last_at
  from told
  group by type, value, purpose, state, source, explicit
),
of_profile as (
  select i.profile_id, t.identifier_id, t.purpose, t.state, t.source, t.explicit, t.first_at, t.last_at
  from told_once as t
  join identity as i on i.identifier_id = t.identifier_id
  where i.present
),
explicit_newest as (
  select profile_id, purpose, state, source, last_at as since
  from of_profile
  where explicit
  qualify row_number() over (
    partition by profile_id, purpose order by last_at desc, if(state = 'denied', 0, 1), source
  ) = 1
),
by_identifier as (
  select profile_id, purpose, state, source, first_at, last_at
  from of_profile
  where not explicit
  qualify row_number() over (
    partition by profile_id, identifier_id, purpose
    order by last_at desc, if(state = 'denied', 0, 1), source
  ) = 1
),
most_restrictive as (
  select profile_id, purpose, state, source, first_at as since
  from by_identifier
  where true
  qualify row_number() over (
    partition by profile_id, purpose
    order by if(state = 'denied', 0, 1), last_at desc, source, first_at
  ) = 1
)
select
  coalesce(e.profile_id, m.profile_id) as profile_id,
  coalesce(e.purpose, m.purpose) as purpose,
  coalesce(e.state, m.state) as state,
  coalesce(e.source, m.source) as source,
  coalesce(e.since, m.since) as since
from most_restrictive as m
full outer join explicit_newest as e on e.profile_id = m.profile_id and e.purpose = m.purpose
