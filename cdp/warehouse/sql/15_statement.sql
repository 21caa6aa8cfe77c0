-- Every statement of consent that counts, each for the identifier it was made for.
-- grain:   one row per statement
-- inputs:  consent_signal, session_day, link_day, raw_decision, desk_decision, spelling
-- params:  @purposes, @explicit_sources ARRAY<STRING>
-- output:  value STRING: a client by its key; where the export has not seen it, by its bare id;
--          decided BOOL: loaded, or written down at the console; not a signal of the export;
--          evidence STRING: table and day, file and line, or the console's row
create or replace table statement
cluster by type, value
as
with device as (
  select client_key, client_id from session_day
  union distinct
  select value, client_id from consent_signal where type = 'client_id'
),
-- Across the days as within one: an answer that is the one before says nothing new.
signal as (
  select type, value, purpose, source, said_at, min(state) as state, min(event_date) as event_date
  from consent_signal
  where purpose in unnest(@purposes)
  group by type, value, purpose, source, said_at
),
placed as (
  select
    type, value, purpose, source, said_at, state, event_date,
    lag(state) over (partition by type, value, purpose, source order by said_at) as before
  from signal
),
changed as (
  select
    type, value, purpose, source, said_at, state, before,
    concat('events_', format_date('%Y%m%d', event_date)) as evidence
  from placed
  where before is null or before <> state or type = 'user_id'
),
-- A client that had not spoken before, and says Yes: the banner of whoever signs in on it.
began as (
  select value as user_id, purpose, min(said_at) as said_at
  from changed
  where type = 'user_id' and source = 'ga4'
  group by value, purpose
),
answered as (
  select
    'user_id' as type, b.user_id as value, c.purpose, c.source, c.said_at, c.state, c.evidence
  from began as b
  join (select distinct user_id, client_key from link_day) as l on l.user_id = b.user_id
  join changed as c
    on c.type = 'client_id' and c.value = l.client_key and c.purpose = b.purpose
      and c.source = 'ga4' and c.before is null and c.state = 'granted' and c.said_at > b.said_at
),
loaded as (
  select
    r.type, s.value, r.purpose, lower(trim(r.source)) as source, r.state,
    -- A date without a time: its denial holds to the end of the day, its grant begins there.
    if(r.date_only, timestamp_add(r.decided_at, interval 86399999999 microsecond), r.decided_at)
      as said_at,
    coalesce(concat(r.name, ', line ', cast(r.line as string)), r.file) as evidence,
    r.loaded_at as told_at, r.loaded_by as told_by, r.notice
  from raw_decision as r
  join spelling as s
    on s.type = r.type and s.told = r.value
      and s.source = if(r.type = 'phone', lower(trim(r.source)), '')
  where s.problem is null
  union all
  select
    type, value, purpose, lower(trim(source)), state, decided_at,
    concat('decision ', decision_id), decided_at, told_by, notice
  from desk_decision
)
select
  type, value, purpose, state, said_at, source, source in unnest(@explicit_sources) as explicit,
  evidence, cast(null as timestamp) as told_at, cast(null as string) as told_by,
  cast(null as string) as notice, false as decided
from changed
union all
select
  type, value, purpose, state, said_at, source, false, evidence, cast(null as timestamp),
  cast(null as string), cast(null as string), false
from answered
union all
select
  l.type, coalesce(d.client_key, l.value), l.purpose, l.state, l.said_at, l.source,
  l.source in unnest(@explicit_sources), l.evidence, l.told_at, l.told_by, l.notice, true
from loaded as l
left join device as d on l.type = 'client_id' and d.client_id = l.value
where l.purpose in unnest(@purposes)
