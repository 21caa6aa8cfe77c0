-- Sessions, events and purchases of a profile's clients by day, in [@since, @until).
-- grain:   one row per day on which there was any
-- inputs:  session_day, purchase
-- params:  @client_keys, @opened_keys ARRAY<STRING>, @first_key, @last_key STRING: the least and
--          the greatest client key, by which engines pass over most blocks;
--          @first, @since, @until DATE, @most INT64
-- units:   engagement_ms milliseconds; revenue in the property's currency
-- Everything since @first, the profile's first day, is read: it tells which sessions and purchases
-- of the window had begun, or been told, before it.
with share as (
  select event_date, client_key, session_id, events, engaged, engagement_ms
  from session_day
  where event_date >= @first and event_date < @until
    and client_key >= @first_key and client_key <= @last_key
    and client_key in unnest(@client_keys)
    and (analytics = 'granted' or analytics = 'unknown' and client_key in unnest(@opened_keys))
),
session as (
  select min(event_date) as event_date, logical_or(engaged) as engaged
  from share
  where session_id is not null
  group by client_key, session_id
),
bought as (
  select event_date, coalesce(revenue, 0) as revenue
  from purchase
  where event_date >= @first and event_date < @until
    and client_key >= @first_key and client_key <= @last_key
    and client_key in unnest(@client_keys)
    and (analytics = 'granted' or analytics = 'unknown' and client_key in unnest(@opened_keys))
  qualify transaction_id is null
    or row_number() over (partition by transaction_id order by event_at, revenue desc) = 1
),
counted as (
  select
    event_date, 1 as sessions, if(engaged, 1, 0) as engaged_sessions,
    0 as engagement_ms, 0 as events, 0 as purchases, 0.0 as revenue
  from session
  union all
  select event_date, 0, 0, engagement_ms, events, 0, 0.0 from share
  union all
  select event_date, 0, 0, 0, 0, 1, revenue from bought
)
select
  event_date,
  sum(sessions) as sessions,
  sum(engaged_sessions) as engaged_sessions,
  sum(engagement_ms) as engagement_ms,
  sum(events) as events,
  sum(purchases) as purchases,
  sum(revenue) as revenue
from counted
where event_date >= @since
group by event_date
order by event_date
limit @most
