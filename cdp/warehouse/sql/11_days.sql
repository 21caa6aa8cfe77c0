-- Replace what is derived from the days' events: sessions, purchases, links.
-- grain:   that of session_day, purchase and link_day
-- inputs:  events
-- params:  @dates ARRAY<DATE>, @lead_events, @purchase_events ARRAY<STRING>,
--          @ads_states ARRAY<STRING>: states of a row that permit fields of ads,
--          @linking_signal STRING: analytics_storage, ads_storage, or empty
begin transaction;

delete from session_day where event_date in unnest(@dates);

-- Sessions cross midnight: a day's share of one is a row here, and whole ones are counted by client
-- and session later.
insert into session_day (
  event_date, client_key, client_id, session_id, analytics, first_at, last_at, events, engaged,
  engagement_ms, leads, origin, first_origin, ads_campaign, ads_gclid,
  country, device
)
select
  e.event_date,
  e.client_key,
  max(e.client_id) as client_id,
  e.session_id,
  e.analytics,
  min(e.event_at) as first_at,
  max(e.event_at) as last_at,
  count(*) as events,
  logical_or(coalesce(e.engaged, false)) as engaged,
  sum(coalesce(e.engagement_ms, 0)) as engagement_ms,
  countif(e.event_name in unnest(@lead_events)) as leads,
  -- A session's source is the one it started with: the earliest told. The time's 16 digits lead, so
  -- that the choice is the same in every run also where times are equal.
  substr(
    min(concat(cast(unix_micros(e.event_at) as string), e.source, '|', coalesce(e.medium, ''))), 17
  ) as origin,
  max(concat(e.first_source, '|', coalesce(e.first_medium, ''))) as first_origin,
  max(if(e.ads in unnest(@ads_states), e.campaign, null)) as ads_campaign,
  max(if(e.ads in unnest(@ads_states), e.gclid, null)) as ads_gclid,
  max(e.country) as country,
  max(e.device) as device
from events as e
where e.event_date in unnest(@dates) and e.client_key is not null
group by e.event_date, e.client_key, e.session_id, e.analytics;

delete from purchase where event_date in unnest(@dates);

insert into purchase (event_date, client_key, analytics, event_at, transaction_id, revenue)
select event_date, client_key, analytics, event_at, transaction_id, revenue
from events
where event_date in unnest(@dates)
  and client_key is not null
  and event_name in unnest(@purchase_events);

delete from link_day where event_date in unnest(@dates);

insert into link_day (event_date, client_key, user_id, consent, first_at, last_at, seen)
with together as (
  select
    event_date, client_key, user_id, event_at,
    case @linking_signal
      when 'analytics_storage' then analytics when 'ads_storage' then ads else 'unknown' end
      as consent
  from events
  where event_date in unnest(@dates)
    and client_key is not null and user_id is not null and not transient
)
select event_date, client_key, user_id, consent, min(event_at), max(event_at), count(*)
from together
group by event_date, client_key, user_id, consent;

commit transaction
