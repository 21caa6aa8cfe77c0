-- Replace the days' events: typed, without duplicates, without ids where analytics was denied.
-- grain:   one row per event
-- inputs:  export_event   the rows of the export's tables that end in @suffixes
-- params:  @property STRING, @suffixes ARRAY<STRING>, @dates ARRAY<DATE>,
--          @blocked, @not_user_id STRING: expressions over lower-case values; @invisible, @around
--          STRING: see cdp.domain.identifiers; @parameters, @suspect, @shape, @token, @pieces STRING:
--          see cdp.domain.redaction; @erased BOOL: there are tombstones; @key STRING: see 22_keyed
-- Who was erased stays out, whatever the export still holds of them.
-- No text is kept that holds an address or a number, and no identifier that does.
-- A denied row keeps what it counts by, and nothing that tells of somebody or of where they were.
-- Export rows have no id. Rows that agree in day, stream, client, user, session, name, time and
-- parameters, in whatever order, are one event told twice.
begin transaction;

delete from events where event_date in unnest(@dates);

insert into events (
  event_date, event_at, event_name, client_key, client_id, stream_id, user_id, session_id, engaged,
  engagement_ms, analytics, ads, transient, source, medium, campaign, gclid, first_source, first_medium,
  country, device, page_location, page_title, transaction_id, revenue
)
-- To compare parameters costs most of all that is done here: it is done where all else agrees.
with alike as (
  select
    e.table_suffix, coalesce(e.event_timestamp, -1) as told_at, coalesce(e.event_name, '') as name
  from export_event as e
  where e.table_suffix in unnest(@suffixes)
  group by 1, 2, 3
  having count(*) > 1
),
met as (
  select distinct
    'client_id' as type,
    concat(@property, '/', coalesce(e.stream_id, ''), '/', e.user_pseudo_id) as value
  from export_event as e
  where @erased and e.table_suffix in unnest(@suffixes)
  union distinct
  select distinct 'client_id', e.user_pseudo_id
  from export_event as e
  where @erased and e.table_suffix in unnest(@suffixes)
  union distinct
  select distinct
    'user_id', regexp_replace(normalize(regexp_replace(e.user_id, @invisible, ''), nfc), @around, '')
  from export_event as e
  where @erased and e.table_suffix in unnest(@suffixes)
),
erased as (
  select distinct m.type, m.value
  from met as m
  join tombstone as t
    on t.keyed = to_hex(sha256(concat(@key, to_hex(sha256(concat(@key, m.type, '|', m.value))))))
),
typed as (
  select
    parse_date('%Y%m%d', substr(e.table_suffix, -8)) as event_date,
    e.event_timestamp,
    e.event_name,
    e.stream_id,
    if(regexp_contains(lower(trim(e.user_pseudo_id)), @blocked), null, e.user_pseudo_id) as client_id,
    regexp_replace(normalize(regexp_replace(e.user_id, @invisible, ''), nfc), @around, '')
      as user_id,
    (select p.value.int_value from unnest(e.event_params) as p where p.key = 'ga_session_id' limit 1)
      as session_id,
    coalesce(
      (select p.value.string_value from unnest(e.event_params) as p where p.key = 'session_engaged' limit 1),
      cast((select p.value.int_value from unnest(e.event_params) as p where p.key = 'session_engaged' limit 1) as string)
    ) = '1' as engaged,
    (select p.value.int_value from unnest(e.event_params) as p where p.key = 'engagement_time_msec' limit 1)
      as engagement_ms,
    case coalesce(lower(trim(e.privacy_info.analytics_storage)), '')
      when 'yes' then 'granted' when '' then 'unknown' when 'unset' then 'unknown' else 'denied' end
      as analytics,
    case coalesce(lower(trim(e.privacy_info.ads_storage)), '')
      when 'yes' then 'granted' when '' then 'unknown' when 'unset' then 'unknown' else 'denied' end
      as ads,
    coalesce(lower(trim(e.privacy_info.uses_transient_token)) = 'yes', false) as transient,
    coalesce(
      e.collected_traffic_source.manual_source,
      (select p.value.string_value from unnest(e.event_params) as p where p.key = 'source' limit 1)
    ) as source,
    coalesce(
      e.collected_traffic_source.manual_medium,
      (select p.value.string_value from unnest(e.event_params) as p where p.key = 'medium' limit 1)
    ) as medium,
    coalesce(
      e.collected_traffic_source.manual_campaign_name,
      (select p.value.string_value from unnest(e.event_params) as p where p.key = 'campaign' limit 1)
    ) as campaign,
    coalesce(
      e.collected_traffic_source.gclid,
      (select p.value.string_value from unnest(e.event_params) as p where p.key = 'gclid' limit 1)
    ) as gclid,
    e.traffic_source.source as first_source,
    e.traffic_source.medium as first_medium,
    e.geo.country,
    e.device.category as device,
    (select p.value.string_value from unnest(e.event_params) as p where p.key = 'page_location' limit 1)
      as page_location,
    (select p.value.string_value from unnest(e.event_params) as p where p.key = 'page_title' limit 1)
      as page_title,
    coalesce(
      e.ecommerce.transaction_id,
      (select p.value.string_value from unnest(e.event_params) as p where p.key = 'transaction_id' limit 1),
      cast((select p.value.int_value from unnest(e.event_params) as p where p.key = 'transaction_id' limit 1) as string)
    ) as transaction_id,
    e.ecommerce.purchase_revenue as revenue,
    if(
      a.table_suffix is null, null,
      to_hex(md5(
        (select string_agg(to_json_string(p), ',' order by to_json_string(p)) from unnest(e.event_params) as p)
      ))
    ) as parameters
  from export_event as e
  left join alike as a
    on a.table_suffix = e.table_suffix and a.told_at = coalesce(e.event_timestamp, -1)
      and a.name = coalesce(e.event_name, '')
  where e.table_suffix in unnest(@suffixes)
),
once as (
  select * from typed
  where true
  qualify row_number() over (
    partition by
      event_date, stream_id, client_id, user_id, session_id, event_name, event_timestamp, parameters
    order by source, medium, revenue, country, device
  ) = 1
),
-- What a URL's user, fragment and parameters tell goes, but for the parameters that are allowed.
plain as (
  select
    *,
    if(
      regexp_contains(page_location, r'[?#@]'),
      concat(
        regexp_replace(
          regexp_replace(page_location, r'(?s)[?#].*', ''), r'^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)[^/]*@', r'\1'
        ),
        regexp_replace(
          array_to_string(
            regexp_extract_all(
              regexp_replace(regexp_replace(page_location, r'(?s)#.*', ''), r'^[^?]*', ''), @parameters
            ),
            ''
          ),
          r'^.', '?'
        )
      ),
      page_location
    ) as page
  from once
),
listed as (
  select
    *,
    [
      event_name, source, medium, campaign, first_source, first_medium, page, page_title, gclid,
      transaction_id, user_id
    ] as told
  from plain
),
suspected as (
  select *, regexp_contains(array_to_string(told, '\n'), @suspect) as is_suspect from listed
),
decoded as (
  select
    *,
    if(
      is_suspect and regexp_contains(array_to_string(told, '\n'), @token),
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
          from unnest(regexp_extract_all(array_to_string(told, '\n'), @pieces)) as p with offset as n
          order by n
        ),
        '\n'
      ),
      null
    ) as hidden
  from suspected
),
-- Of the few rows whose tokens hide an address or a number, each text is taken apart.
revealed as (
  select
    *,
    if(
      regexp_contains(hidden, @shape),
      array(
        select
          if(
            regexp_contains(t, @token),
            array_to_string(
              array(
                select
                  if(
                    regexp_contains(p, @token),
                    if(
                      regexp_contains(
                        safe_convert_bytes_to_string(
                          from_base64(concat(p, substr('==', 1, mod(3 * length(p), 4))))
                        ),
                        @shape
                      ),
                      '(redacted)', p
                    ),
                    p
                  )
                from unnest(regexp_extract_all(t, @pieces)) as p with offset as m
                order by m
              ),
              ''
            ),
            t
          )
        from unnest(told) as t with offset as n
        order by n
      ),
      told
    ) as texts
  from decoded
),
redacted as (
  select
    *,
    if(is_suspect, regexp_replace(texts[safe_offset(0)], @shape, r'\1(redacted)'), event_name)
      as safe_event_name,
    if(is_suspect, regexp_replace(texts[safe_offset(1)], @shape, r'\1(redacted)'), source)
      as safe_source,
    if(is_suspect, regexp_replace(texts[safe_offset(2)], @shape, r'\1(redacted)'), medium)
      as safe_medium,
    if(is_suspect, regexp_replace(texts[safe_offset(3)], @shape, r'\1(redacted)'), campaign)
      as safe_campaign,
    if(is_suspect, regexp_replace(texts[safe_offset(4)], @shape, r'\1(redacted)'), first_source)
      as safe_first_source,
    if(is_suspect, regexp_replace(texts[safe_offset(5)], @shape, r'\1(redacted)'), first_medium)
      as safe_first_medium,
    if(is_suspect, regexp_replace(texts[safe_offset(6)], @shape, r'\1(redacted)'), page)
      as safe_page,
    if(is_suspect, regexp_replace(texts[safe_offset(7)], @shape, r'\1(redacted)'), page_title)
      as safe_page_title,
    if(is_suspect, regexp_replace(texts[safe_offset(8)], @shape, r'\1(redacted)'), gclid)
      as safe_gclid,
    if(is_suspect, regexp_replace(texts[safe_offset(9)], @shape, r'\1(redacted)'), transaction_id)
      as safe_transaction_id,
    if(is_suspect, regexp_replace(texts[safe_offset(10)], @shape, r'\1(redacted)'), user_id)
      as safe_user_id
  from revealed
)
select
  event_date,
  timestamp_micros(event_timestamp) as event_at,
  safe_event_name as event_name,
  if(analytics = 'denied', null, concat(@property, '/', coalesce(stream_id, ''), '/', client_id))
    as client_key,
  if(analytics = 'denied', null, client_id) as client_id,
  stream_id,
  if(
    analytics = 'denied' or user_id = '' or regexp_contains(lower(user_id), @blocked)
    or regexp_contains(lower(user_id), @not_user_id) or safe_user_id <> user_id,
    null, user_id
  ) as user_id,
  if(analytics = 'denied', null, session_id) as session_id,
  engaged,
  engagement_ms,
  analytics,
  ads,
  transient,
  safe_source as source,
  safe_medium as medium,
  safe_campaign as campaign,
  if(analytics = 'denied' or ads = 'denied' or safe_gclid <> gclid, null, gclid) as gclid,
  safe_first_source as first_source,
  safe_first_medium as first_medium,
  country,
  device,
  if(analytics = 'denied', null, safe_page) as page_location,
  if(analytics = 'denied', null, safe_page_title) as page_title,
  if(
    analytics = 'denied' or regexp_contains(lower(trim(transaction_id)), @blocked)
    or safe_transaction_id <> transaction_id,
    null, transaction_id
  ) as transaction_id,
  revenue
from redacted as o
left join erased as c
  on c.type = 'client_id' and c.value = concat(@property, '/', coalesce(o.stream_id, ''), '/', o.client_id)
left join erased as b on b.type = 'client_id' and b.value = o.client_id
left join erased as u on u.type = 'user_id' and u.value = o.user_id
where c.value is null and b.value is null and u.value is null;

commit transaction
