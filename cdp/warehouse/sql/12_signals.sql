-- Replace what the days' export rows say of consent, and record the days as cleaned.
-- grain:   that of consent_signal and cleaned_day
-- inputs:  export_event   the rows of the export's tables that end in @suffixes: a denied row speaks
--          here, and only here
-- params:  @property STRING, @suffixes ARRAY<STRING>, @dates ARRAY<DATE>,
--          @blocked, @not_user_id, @invisible, @around, @shape, @token, @pieces STRING, @signals ARRAY<STRING> of
--          'purpose|column', @gpc_parameter STRING, @gpc_purposes ARRAY<STRING>,
--          @denied_row STRING: user_id, or row: who has no client then says nothing,
--          @days ARRAY<STRING> of 'YYYYMMDD|suffix|version|state|rows', @seq INT64,
--          @erased BOOL, @key STRING: see 10_events
-- rule:    a row speaks for its client. One without a client that denies speaks for its user id; of
--          what it grants, nobody knows for whom. Only what differs from the same client's answer
--          before is a statement; of two at one instant the denial. 'Unset' and null say nothing,
--          whatever else is not 'Yes' denies.
begin transaction;

delete from consent_signal where event_date in unnest(@dates);

insert into consent_signal (event_date, type, value, client_id, purpose, state, source, said_at)
with told as (
  select
    parse_date('%Y%m%d', substr(e.table_suffix, -8)) as event_date,
    timestamp_micros(e.event_timestamp) as event_at,
    coalesce(e.stream_id, '') as stream_id,
    if(regexp_contains(lower(trim(e.user_pseudo_id)), @blocked), null, e.user_pseudo_id) as client_id,
    regexp_replace(normalize(regexp_replace(e.user_id, @invisible, ''), nfc), @around, '') as user_id,
    nullif(lower(trim(e.privacy_info.analytics_storage)), '') as analytics_storage,
    nullif(lower(trim(e.privacy_info.ads_storage)), '') as ads_storage,
    (select p.value from unnest(e.event_params) as p where p.key = @gpc_parameter limit 1) as gpc
  from export_event as e
  where e.table_suffix in unnest(@suffixes)
    and (e.user_pseudo_id is not null or e.user_id is not null)
),
speaking as (
  select
    event_date, event_at,
    if(client_id is null, 'user_id', 'client_id') as type,
    coalesce(concat(@property, '/', stream_id, '/', client_id), user_id) as value,
    client_id, analytics_storage, ads_storage,
    if(
      gpc.int_value = 1 or lower(trim(gpc.string_value)) in ('1', 'true', 'yes'), 'no', null
    ) as gpc
  from told
  where client_id is not null
    or @denied_row = 'user_id' and user_id <> ''
      and not regexp_contains(lower(user_id), @blocked)
      and not regexp_contains(lower(user_id), @not_user_id)
      and not regexp_contains(user_id, @shape)
      and not if(
        regexp_contains(user_id, @token),
        regexp_contains(
          array_to_string(
            array(
              select
                if(
                  regexp_contains(p, @token),
                  safe_convert_bytes_to_string(
                    from_base64(concat(p, substr('==', 1, mod(3 * length(p), 4))))
                  ),
                  null
                )
              from unnest(regexp_extract_all(user_id, @pieces)) as p with offset as n
              order by n
            ),
            '\n'
          ),
          @shape
        ),
        false
      )
),
met as (
  select distinct type, value from speaking
  where @erased
  union distinct
  select distinct 'client_id', client_id from speaking
  where @erased and client_id is not null
),
erased as (
  select m.type, m.value
  from met as m
  join tombstone as t
    on t.keyed = to_hex(sha256(concat(@key, to_hex(sha256(concat(@key, m.type, '|', m.value))))))
),
heard as (
  select
    s.event_date, s.event_at, s.type, s.value, s.client_id, s.analytics_storage, s.ads_storage, s.gpc
  from speaking as s
  left join erased as e on e.type = s.type and e.value = s.value
  left join erased as b on b.type = 'client_id' and b.value = s.client_id
  where e.value is null and b.value is null
),
purposes as (
  select
    split(p, '|')[safe_offset(0)] as purpose, split(p, '|')[safe_offset(1)] as told_by,
    'ga4' as source
  from unnest(@signals) as p
  union all
  select p, 'gpc', 'gpc' from unnest(@gpc_purposes) as p
),
-- Who answers alike all day has spoken once; only of the others each row is looked at.
daily as (
  select
    event_date, type, value, client_id, analytics_storage, ads_storage, gpc,
    min(event_at) as first_at
  from heard
  group by event_date, type, value, client_id, analytics_storage, ads_storage, gpc
),
wavering as (
  select event_date, type, value from daily
  group by event_date, type, value
  having count(*) > 1 or type = 'user_id'
),
answers as (
  select d.event_date, d.type, d.value, d.client_id, d.analytics_storage, d.ads_storage, d.gpc,
    d.first_at as said_at
  from daily as d
  left join wavering as w
    on w.event_date = d.event_date and w.type = d.type and w.value = d.value
  where w.value is null
  union all
  select s.event_date, s.type, s.value, s.client_id, s.analytics_storage, s.ads_storage, s.gpc,
    s.event_at
  from heard as s
  join wavering as w on w.event_date = s.event_date and w.type = s.type and w.value = s.value
),
by_purpose as (
  select
    a.event_date, a.type, a.value, a.client_id, p.purpose, p.source, a.said_at,
    case p.told_by
      when 'analytics_storage' then a.analytics_storage
      when 'ads_storage' then a.ads_storage
      when 'gpc' then a.gpc
    end as answer
  from answers as a
  cross join purposes as p
),
spoken as (
  select
    event_date, type, value, client_id, purpose, source, said_at,
    -- 'denied' is before 'granted'.
    min(if(answer = 'yes', 'granted', 'denied')) as state
  from by_purpose
  where answer is not null and answer <> 'unset'
  group by event_date, type, value, client_id, purpose, source, said_at
),
placed as (
  select
    event_date, type, value, client_id, purpose, state, source, said_at,
    lag(state) over (
      partition by event_date, type, value, purpose, source order by said_at
    ) as before,
    max(said_at) over (partition by event_date, type, value, purpose, source) as last_at
  from spoken
  where type = 'client_id' or state = 'denied'
)
select event_date, type, value, client_id, purpose, state, source, said_at
from placed
where before is null or before <> state
  -- Each No without a client is a new one; of a day the first and the last tell all.
  or type = 'user_id' and said_at = last_at;

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
