-- How many profiles have identifiers that disagree, and how that was resolved.
-- grain:   one row per purpose, state in force and whether an explicit decision stands above
-- inputs:  consent_signal, raw_decision, client, identity, identifier, profile_consent
-- params:  @explicit_sources, @purposes ARRAY<STRING>
-- rule:    50_consent's: the newest signal of each identifier; they disagree where one grants and
--          another denies
with several as (
  select profile_id from identity where present group by profile_id having count(*) > 1
),
member as (
  select p.profile_id, p.identifier_id, i.type, i.value
  from identity as p
  join several as s on s.profile_id = p.profile_id
  join identifier as i on i.identifier_id = p.identifier_id
  where p.present
),
decided as (
  select
    type,
    case type
      when 'email' then lower(trim(value))
      when 'phone' then concat('+', regexp_replace(value, r'[^0-9]', ''))
      else trim(value) end as value,
    purpose, state, decided_at, source
  from raw_decision
  where purpose in unnest(@purposes) and not source in unnest(@explicit_sources)
),
told as (
  select type, value, purpose, state, 'ga4' as source, last_at
  from consent_signal
  where purpose in unnest(@purposes)
  union all
  select
    d.type, coalesce(c.client_key, d.value) as value, d.purpose, d.state, d.source,
    d.decided_at as last_at
  from decided as d
  left join client as c on d.type = 'client_id' and c.client_id = d.value
),
newest as (
  select m.profile_id, t.purpose, t.state
  from told as t
  join member as m on m.type = t.type and m.value = t.value
  where true
  qualify row_number() over (
    partition by m.identifier_id, t.purpose
    order by t.last_at desc, if(t.state = 'denied', 0, 1), t.source
  ) = 1
),
torn as (
  select profile_id, purpose
  from newest
  group by profile_id, purpose
  having countif(state = 'granted') > 0 and countif(state = 'denied') > 0
)
select
  t.purpose, c.state,
  c.source in unnest(@explicit_sources) as explicit,
  count(*) as profiles
from torn as t
join profile_consent as c on c.profile_id = t.profile_id and c.purpose = t.purpose
group by 1, 2, 3
order by 1, 2, 3
