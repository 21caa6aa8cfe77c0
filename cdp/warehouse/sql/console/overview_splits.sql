-- Where profiles came from last, where they are and what they use: the greatest, and all others.
-- grain:   one row per kind (source, country, device) and value, the greatest first;
--          place 0: the sum of all values that are not among the greatest
-- inputs:  payload: of profiles whose consent permits to tell when they were seen
-- params:  @top INT64: values a kind
-- output:  value, medium STRING: null where nothing was told, and in place 0
-- units:   revenue in the property's currency
with seen as (
  select
    ga4.last_source as last_source, ga4.last_medium as last_medium, ga4.country as country,
    ga4.device as device, coalesce(ga4.sessions, 0) as sessions, coalesce(ga4.revenue, 0) as revenue
  from payload
  where ga4.last_seen is not null
),
split_by as (
  select 'source' as kind, last_source as value, last_medium as medium, sessions, revenue
  from seen
  union all
  select 'country' as kind, country as value, null as medium, sessions, revenue from seen
  union all
  select 'device' as kind, device as value, null as medium, sessions, revenue from seen
),
summed as (
  select
    kind, value, medium,
    count(*) as profiles, sum(sessions) as sessions, sum(revenue) as revenue
  from split_by
  group by kind, value, medium
),
placed as (
  select
    kind, value, medium, profiles, sessions, revenue,
    row_number() over (
      partition by kind order by profiles desc, sessions desc, value, medium
    ) as place
  from summed
),
kept as (
  select
    kind,
    if(place <= @top, place, 0) as place,
    if(place <= @top, value, null) as value,
    if(place <= @top, medium, null) as medium,
    profiles, sessions, revenue
  from placed
)
select
  kind, place, value, medium,
  count(*) as different,
  sum(profiles) as profiles,
  sum(sessions) as sessions,
  round(sum(revenue), 6) as revenue
from kept
group by kind, place, value, medium
order by kind, place
