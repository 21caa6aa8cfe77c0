-- Clients that may be linked and measured.
-- grain:   one row per client_key
-- inputs:  session_day, word
-- params:  @measuring STRING: the purpose that the export's analytics_storage speaks for;
--          @silence ARRAY<STRING> of 'purpose|country|granted or denied', no country: everywhere else
-- output:  opened BOOL: rows that say nothing are measured, too: the client's own grant is known from
--          elsewhere, or silence permits where its newest session was
create or replace table client
cluster by client_id
as
with place as (
  select
    client_key,
    substr(max(concat(cast(unix_micros(last_at) as string), coalesce(country, ''))), 17) as country
  from session_day
  group by client_key
),
silence as (
  select
    split(s, '|')[safe_offset(1)] as country,
    split(s, '|')[safe_offset(2)] = 'granted' as permits
  from unnest(@silence) as s
  where split(s, '|')[safe_offset(0)] = @measuring
),
spoken as (
  select
    p.client_key, p.country,
    coalesce(w.state, 'unknown') as state,
    coalesce(
      here.permits, (select logical_or(e.permits) from silence as e where e.country = ''), false
    ) as permits
  from place as p
  left join word as w
    on w.subject = concat('client_id|', p.client_key) and w.purpose = @measuring
  left join silence as here on here.country = p.country and length(here.country) > 0
),
judged as (
  select
    client_key, country, state = 'granted' or state = 'unknown' and permits as opened
  from spoken
)
select
  s.client_key,
  max(s.client_id) as client_id,
  min(s.first_at) as first_seen,
  max(s.last_at) as last_seen,
  max(j.country) as country,
  logical_or(j.opened) as opened
from session_day as s
join judged as j on j.client_key = s.client_key
where s.analytics = 'granted' or s.analytics = 'unknown' and j.opened
group by s.client_key
