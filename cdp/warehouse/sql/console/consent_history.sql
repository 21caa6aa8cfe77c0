-- All that was ever said of one person's consent, the newest first.
-- grain:   one row per decision, and per run of equal signals of an identifier and purpose
-- inputs:  consent_signal, raw_decision, client, identity, identifier
-- params:  @profile_id STRING, @purposes, @explicit_sources ARRAY<STRING>, @most INT64: rows; those
--          in force are among them however old they are
-- output:  first_at, last_at TIMESTAMP: of the run, both the same of a decision;
--          in_force BOOL: the row that decides by the rule of 50_consent
with member as (
  select p.identifier_id, i.type, i.value, c.client_id
  from identity as p
  join identifier as i on i.identifier_id = p.identifier_id
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where p.profile_id = @profile_id and p.present
),
signal as (
  select
    m.identifier_id, s.purpose, s.state, s.first_at, s.last_at,
    row_number() over (
      partition by m.identifier_id, s.purpose order by s.last_at, s.first_at, s.state
    ) as place,
    row_number() over (
      partition by m.identifier_id, s.purpose, s.state order by s.last_at, s.first_at
    ) as place_in_state
  from consent_signal as s
  join member as m on m.type = s.type and m.value = s.value
  where s.purpose in unnest(@purposes)
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
  where purpose in unnest(@purposes)
),
decision as (
  select
    d.type, coalesce(c.client_key, d.value) as value, d.purpose, d.state, d.source, d.decided_at
  from decided as d
  left join client as c on d.type = 'client_id' and c.client_id = d.value
),
told as (
  -- Between two rows of one run no other state was told: both places grew alike.
  select
    identifier_id, purpose, state, 'ga4' as source, false as explicit,
    min(first_at) as first_at, max(last_at) as last_at
  from signal
  group by identifier_id, purpose, state, place - place_in_state
  union all
  select
    m.identifier_id, d.purpose, d.state, d.source,
    d.source in unnest(@explicit_sources) as explicit,
    d.decided_at as first_at, d.decided_at as last_at
  from decision as d
  join member as m on m.type = d.type and m.value = d.value
),
ranked as (
  select
    identifier_id, purpose, state, source, explicit, first_at, last_at,
    row_number() over (
      partition by identifier_id, purpose, explicit
      order by last_at desc, if(state = 'denied', 0, 1), source
    ) as place
  from told
),
weighed as (
  select
    identifier_id, purpose, state, source, explicit, first_at, last_at,
    -- The newest explicit decision of all, else the most restrictive of each identifier's newest.
    row_number() over (
      partition by purpose
      order by
        if(explicit, 0, if(place = 1, 1, 2)),
        if(explicit or state = 'denied', 0, 1),
        last_at desc,
        if(state = 'denied', 0, 1), source, first_at, identifier_id
    ) = 1 as in_force
  from ranked
)
select
  w.first_at, w.last_at, w.purpose, w.state, w.source, w.explicit, w.in_force,
  m.type, coalesce(m.client_id, m.value) as value
from weighed as w
join member as m on m.identifier_id = w.identifier_id
where true
qualify w.in_force or row_number() over (
  order by w.last_at desc, w.first_at desc, w.purpose, w.state, w.source, w.identifier_id
) <= @most
order by w.last_at desc, w.first_at desc, w.purpose, w.state, w.source, m.type, m.value
