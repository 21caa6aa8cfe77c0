-- Totals over everything cleaned, stitched and delivered.
-- grain:   one row
-- inputs:  payload, hub, link, closed, client, events and what else is counted
-- output:  clients: of rows that the policy lets measure; sessions, engaged_sessions, engagement_ms,
--          purchases, revenue: of profiles, as their consent in force permits, which is what their
--          documents sum up to; kept_out: links, those with a hub, or who
--          denies to be joined, at an end among them; hubs:
--          identifiers; clusters: people seen; profiles: those that hold something besides consent
-- units:   revenue in the property's currency, as the events state it; engagement_ms milliseconds
with permitted as (
  select
    countif(has_fields) as profiles,
    coalesce(sum(ga4.sessions), 0) as sessions,
    coalesce(sum(ga4.engaged_sessions), 0) as engaged_sessions,
    coalesce(sum(ga4.engagement_ms), 0) as engagement_ms,
    coalesce(sum(ga4.purchases), 0) as purchases,
    round(coalesce(sum(ga4.revenue), 0), 6) as revenue
  from payload
),
shared as (
  select distinct identifier_id from hub
),
apart as (
  select identifier_id from shared
  union distinct
  select identifier_id from closed
),
excluded as (
  select l.a_id
  from link as l
  left join apart as a on a.identifier_id = l.a_id
  left join apart as b on b.identifier_id = l.b_id
  where l.kept_out is not null or a.identifier_id is not null or b.identifier_id is not null
)
select
  (select count(*) from cleaned_day) as days,
  (select coalesce(sum(rows_read), 0) from cleaned_day) as rows_read,
  (select count(*) from events) as events,
  (select count(*) from client) as clients,
  (select sessions from permitted) as sessions,
  (select engaged_sessions from permitted) as engaged_sessions,
  (select engagement_ms from permitted) as engagement_ms,
  (select purchases from permitted) as purchases,
  (select revenue from permitted) as revenue,
  (select count(*) from events where analytics = 'denied') as denied_events,
  (select count(*) from events where analytics = 'unknown') as unknown_events,
  (select count(*) from identifier) as identifiers,
  (select count(*) from edge) as edges,
  (select count(*) from excluded) as kept_out,
  (select count(*) from shared) as hubs,
  (select count(*) from name) as clusters,
  (select profiles from permitted) as profiles
