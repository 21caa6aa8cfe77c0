-- What happened on each cleaned day, by rows that may be measured, of profiles whose consent in force
-- permits the field that tells it: the sums are those of the documents.
-- grain:   one row per cleaned day, in order
-- inputs:  cleaned_day, session_day, purchase, identity, identifier, client, permit
-- params:  @since DATE, @most INT64; @may_ga4_last_seen,
--          @may_ga4_events, @may_ga4_leads, @may_ga4_sessions, @may_ga4_engaged_sessions,
--          @may_ga4_purchases, @may_ga4_revenue STRING: '|purpose|' that permits the field
-- units:   revenue in the property's currency; days are the property's own
-- A session counts on the day on which it began, a profile as new on its first day of all. Hence
-- earlier days are read, too.
with client_profile as (
  select i.value as client_key, c.opened, p.profile_id, m.granted
  from identifier as i
  join client as c on c.client_key = i.value
  join identity as p on p.identifier_id = i.identifier_id
  join permit as m on m.profile_id = p.profile_id
  where i.type = 'client_id' and p.present
),
permitted as (
  select
    s.event_date, s.client_key, s.session_id, s.engaged, s.events, s.leads, p.profile_id, p.granted
  from session_day as s
  join client_profile as p on p.client_key = s.client_key
  where s.analytics = 'granted' or s.analytics = 'unknown' and p.opened
),
seen as (
  select distinct profile_id, event_date
  from permitted
  where strpos(granted, @may_ga4_last_seen) > 0
),
first_seen as (
  select profile_id, min(event_date) as event_date from seen group by profile_id
),
people_on as (
  select
    s.event_date,
    count(*) as active_profiles,
    countif(f.event_date = s.event_date) as new_profiles
  from seen as s
  join first_seen as f on f.profile_id = s.profile_id
  group by s.event_date
),
session as (
  select
    min(event_date) as event_date,
    logical_or(engaged and strpos(granted, @may_ga4_engaged_sessions) > 0) as engaged
  from permitted
  where session_id is not null and strpos(granted, @may_ga4_sessions) > 0
  group by client_key, session_id
),
sessions_on as (
  select event_date, count(*) as sessions, countif(engaged) as engaged_sessions
  from session
  group by event_date
),
events_on as (
  select
    event_date,
    sum(if(strpos(granted, @may_ga4_events) > 0, events, 0)) as events,
    sum(if(strpos(granted, @may_ga4_leads) > 0, leads, 0)) as leads
  from permitted
  group by event_date
),
bought as (
  select b.event_date, b.revenue, p.granted
  from purchase as b
  join client_profile as p on p.client_key = b.client_key
  where (b.analytics = 'granted' or b.analytics = 'unknown' and p.opened)
  -- The same transaction told again, by this or another of the person's devices, is one purchase.
  qualify b.transaction_id is null
    or row_number() over (
      partition by p.profile_id, b.transaction_id order by b.event_at, b.revenue desc
    ) = 1
),
bought_on as (
  select
    event_date,
    countif(strpos(granted, @may_ga4_purchases) > 0) as purchases,
    sum(if(strpos(granted, @may_ga4_revenue) > 0, coalesce(revenue, 0), 0)) as revenue
  from bought
  group by event_date
)
select
  d.event_date,
  coalesce(e.events, 0) as events,
  coalesce(s.sessions, 0) as sessions,
  coalesce(s.engaged_sessions, 0) as engaged_sessions,
  coalesce(p.active_profiles, 0) as active_profiles,
  coalesce(p.new_profiles, 0) as new_profiles,
  coalesce(p.active_profiles - p.new_profiles, 0) as returning_profiles,
  coalesce(b.purchases, 0) as purchases,
  round(coalesce(b.revenue, 0), 6) as revenue,
  coalesce(e.leads, 0) as leads
from cleaned_day as d
left join events_on as e on e.event_date = d.event_date
left join sessions_on as s on s.event_date = d.event_date
left join people_on as p on p.event_date = d.event_date
left join bought_on as b on b.event_date = d.event_date
where d.event_date >= @since
order by d.event_date
limit @most
