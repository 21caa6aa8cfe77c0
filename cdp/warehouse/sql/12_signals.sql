-- Replace what the days' export rows say of consent, and record the days as cleaned.
-- grain:   that of consent_signal and cleaned_day
-- inputs:  export_event   the rows of the export's tables that end in @suffixes: a denied row speaks
--          for its ids here, and only here
-- params:  @property STRING, @suffixes ARRAY<STRING>, @dates ARRAY<DATE>,
--          @blocked, @not_user_id STRING, @signals ARRAY<STRING> of 'purpose|column',
--          @days ARRAY<STRING> of 'YYYYMMDD|suffix|version|state|rows', @seq INT64
begin transaction;

delete from consent_signal where event_date in unnest(@dates);

insert into consent_signal (event_date, type, value, purpose, state, first_at, last_at)
with told as (
  select
    parse_date('%Y%m%d', substr(e.table_suffix, -8)) as event_date,
    timestamp_micros(e.event_timestamp) as event_at,
    if(
      regexp_contains(lower(trim(e.user_pseudo_id)), @blocked),
      null, concat(@property, '/', coalesce(e.stream_id, ''), '/', e.user_pseudo_id)
    ) as client_key,
    if(
      regexp_contains(lower(trim(e.user_id)), @blocked)
      or regexp_contains(lower(trim(e.user_id)), @not_user_id),
      null, trim(e.user_id)
    ) as user_id,
    lower(e.privacy_info.analytics_storage) as analytics_storage,
    lower(e.privacy_info.ads_storage) as ads_storage
  from export_event as e
  where e.table_suffix in unnest(@suffixes)
    and (e.user_pseudo_id is not null or e.user_id is not null)
    and (e.privacy_info.analytics_storage is not null or e.privacy_info.ads_storage is not null)
),
by_identifier as (
  select event_date, 'client_id' as type, client_key as value, analytics_storage, ads_storage,
    min(event_at) as first_at, max(event_at) as last_at
  from told where client_key is not null
  group by event_date, client_key, analytics_storage, ads_storage
  union all
  select event_date, 'user_id' as type, user_id as value, analytics_storage, ads_storage,
    min(event_at) as first_at, max(event_at) as last_at
  from told where user_id is not null
  group by event_date, user_id, analytics_storage, ads_storage
),
by_purpose as (
  select b.event_date, b.type, b.value, s.purpose,
    case s.told_by
      when 'analytics_storage' then b.analytics_storage
      when 'ads_storage' then b.ads_storage
    end as answer,
    b.first_at, b.last_at
  from by_identifier as b
  cross join (
    select split(p, '|')[safe_offset(0)] as purpose, split(p, '|')[safe_offset(1)] as told_by
    from unnest(@signals) as p
  ) as s
)
select event_date, type, value, purpose, if(answer = 'yes', 'granted', 'denied') as state,
  min(first_at) as first_at, max(last_at) as last_at
from by_purpose
-- 'unset' is silence, as null is.
where answer in ('yes', 'no')
group by event_date, type, value, purpose, answer;

delete from cleaned_day where event_date in unnest(@dates);

insert into cleaned_day (event_date, suffix, version, state, rows_read, seq)
with spelled as (
  select
    split(d, '|')[safe_offset(0)] as event_day,
    split(d, '|')[safe_offset(1)] as suffix,
    split(d, '|')[safe_offset(2)] as version,
    split(d, '|')[safe_offset(3)] as state,
    split(d, '|')[safe_offset(4)] as rows_read
  from unnest(@days) as d
)
select parse_date('%Y%m%d', event_day), suffix, version, state, cast(rows_read as int64), @seq
from spelled;

commit transaction
