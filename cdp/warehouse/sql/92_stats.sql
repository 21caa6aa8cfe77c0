-- Totals over everything cleaned, stitched and delivered; the policy's permitted rows only, but for
-- days and events.
-- grain:   one row
-- params:  @analytics_states ARRAY<STRING>, @purchase_events ARRAY<STRING>
-- units:   revenue in the property's currency, as the events state it; engagement_ms milliseconds
with measured as (
  select client_key, session_id, engaged, engagement_ms
  from session_day where analytics in unnest(@analytics_states)
),
per_session as (
  select client_key, session_id, logical_or(engaged) as engaged
  from measured
  where session_id is not null
  group by client_key, session_id
)
select
  (select count(*) from cleaned_day) as days,
  (select coalesce(sum(rows_read), 0) from cleaned_day) as rows_read,
  (select count(*) from events) as events,
  (select count(distinct client_key) from measured) as clients,
  (select count(*) from per_session) as sessions,
  (select countif(engaged) from per_session) as engaged_sessions,
  (select coalesce(sum(engagement_ms), 0) from measured) as engagement_ms,
  (select count(*) from purchase where analytics in unnest(@analytics_states)) as purchases,
  (select coalesce(sum(revenue), 0) from purchase where analytics in unnest(@analytics_states)) as revenue,
  (select count(*) from events where analytics = 'denied') as denied_events,
  (select count(*) from events where analytics = 'unknown') as unknown_events,
  (select count(*) from identifier) as identifiers,
  (select count(*) from edge) as edges,
  (select count(*) from link where kept_out is not null) as kept_out,
  (select count(*) from hub) as hubs,
  (select count(*) from name) as clusters,
  (select countif(has_fields) from payload) as profiles
