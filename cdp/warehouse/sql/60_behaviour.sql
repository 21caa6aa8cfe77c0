-- What the export knows of each profile, before consent to use it.
-- grain:   one row per profile with events
-- inputs:  session_day, purchase, client, known, identity
-- units:   engagement_ms milliseconds; revenue in the property's currency
create or replace table behaviour
cluster by profile_id
as
with client_profile as (
  select c.client_key, c.opened, i.profile_id
  from client as c
  join known as k on k.type = 'client_id' and k.value = c.client_key
  join identity as i on i.identifier_id = k.identifier_id
  where i.present
),
session as (
  -- A session that crosses midnight, or whose consent state changed, is one session.
  select
    p.profile_id, s.client_key, s.session_id,
    max(s.client_id) as client_id,
    min(s.first_at) as first_at,
    max(s.last_at) as last_at,
    sum(s.events) as events,
    logical_or(s.engaged) as engaged,
    sum(s.engagement_ms) as engagement_ms,
    sum(s.leads) as leads,
    min(concat(cast(unix_micros(s.first_at) as string), s.origin)) as origin,
    max(s.first_origin) as first_origin,
    max(s.ads_campaign) as ads_campaign,
    max(s.ads_gclid) as ads_gclid,
    max(s.country) as country,
    max(s.device) as device
  from session_day as s
  join client_profile as p on p.client_key = s.client_key
  where s.analytics = 'granted' or s.analytics = 'unknown' and p.opened
  group by p.profile_id, s.client_key, s.session_id
),
bought as (
  select p.profile_id, b.transaction_id, b.event_at, b.revenue
  from purchase as b
  join client_profile as p on p.client_key = b.client_key
  where (b.analytics = 'granted' or b.analytics = 'unknown' and p.opened)
  -- The same transaction told again, by this or another of the person's devices, is one purchase.
  qualify b.transaction_id is null
    or row_number() over (
      partition by p.profile_id, b.transaction_id order by b.event_at, b.revenue desc
    ) = 1
),
spent as (
  select profile_id, count(*) as purchases, sum(coalesce(revenue, 0)) as revenue
  from bought
  group by profile_id
),
summed as (
  select
    profile_id,
    min(first_at) as first_seen,
    max(last_at) as last_seen,
    sum(events) as events,
    countif(session_id is not null) as sessions,
    countif(session_id is not null and engaged) as engaged_sessions,
    sum(engagement_ms) as engagement_ms,
    sum(leads) as leads,
    -- The newest that is told; the time's 16 digits lead, so that equal times choose alike in every run.
    substr(max(concat(cast(unix_micros(last_at) as string), client_id)), 17) as last_client_id,
    coalesce(
      -- `origin` begins with digits of its own.
      substr(max(concat(cast(unix_micros(last_at) as string), origin)), 33),
      -- Where no session told a source, the one of the first visit stands.
      substr(min(concat(cast(unix_micros(first_at) as string), first_origin)), 17)
    ) as origin,
    substr(max(concat(cast(unix_micros(last_at) as string), country)), 17) as country,
    substr(max(concat(cast(unix_micros(last_at) as string), device)), 17) as device,
    substr(max(concat(cast(unix_micros(last_at) as string), ads_campaign)), 17) as ads_campaign,
    substr(max(concat(cast(unix_micros(last_at) as string), ads_gclid)), 17) as ads_gclid
  from session
  group by profile_id
)
select
  s.profile_id, s.first_seen, s.last_seen, s.events, s.sessions, s.engaged_sessions,
  s.engagement_ms, s.leads,
  coalesce(b.purchases, 0) as purchases,
  coalesce(b.revenue, 0) as revenue,
  s.last_client_id,
  split(s.origin, '|')[safe_offset(0)] as last_source,
  nullif(split(s.origin, '|')[safe_offset(1)], '') as last_medium,
  s.country, s.device, s.ads_campaign, s.ads_gclid
from summed as s
left join spent as b on b.profile_id = s.profile_id
