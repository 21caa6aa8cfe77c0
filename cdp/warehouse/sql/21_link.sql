-- Pairs of identifiers that were observed together: in the export, and in loaded first-party links.
-- grain:   one row per pair (the smaller id first), source and consent to link
-- inputs:  link_day, client, raw_link (a row per loaded observation)
-- params:  @analytics_states ARRAY<STRING>, @unstated STRING, @blocked, @not_user_id STRING
-- output:  kept_out STRING: why the pair never enters the graph; null where it may
-- A loaded client id waits, unseen, until the export knows its client.
create or replace table link
cluster by a_id
as
with spelled as (
  select
    a_type,
    case a_type
      when 'email' then lower(trim(a_value))
      when 'phone' then concat('+', regexp_replace(a_value, r'[^0-9]', ''))
      else trim(a_value) end as a_value,
    b_type,
    case b_type
      when 'email' then lower(trim(b_value))
      when 'phone' then concat('+', regexp_replace(b_value, r'[^0-9]', ''))
      else trim(b_value) end as b_value,
    seen_at, source, consent
  from raw_link
),
loaded as (
  select
    s.a_type, coalesce(a.client_key, s.a_value) as a_value,
    s.b_type, coalesce(b.client_key, s.b_value) as b_value,
    s.a_value as a_spelled, s.b_value as b_spelled,
    coalesce(s.consent, 'unknown') as consent, s.source,
    s.seen_at as first_seen, s.seen_at as last_seen, 1 as seen,
    if(coalesce(s.consent, 'unknown') = 'unknown', @unstated, s.consent) = 'granted' as permitted
  from spelled as s
  left join client as a on s.a_type = 'client_id' and a.client_id = s.a_value
  left join client as b on s.b_type = 'client_id' and b.client_id = s.b_value
  where (s.a_type <> 'client_id' or a.client_key is not null)
    and (s.b_type <> 'client_id' or b.client_key is not null)
),
observed as (
  select
    'client_id' as a_type, client_key as a_value, 'user_id' as b_type, user_id as b_value,
    client_key as a_spelled, user_id as b_spelled,
    consent, 'ga4' as source, first_at as first_seen, last_at as last_seen, seen,
    consent in unnest(@analytics_states) as permitted
  from link_day
  union all
  select
    a_type, a_value, b_type, b_value, a_spelled, b_spelled,
    consent, source, first_seen, last_seen, seen, permitted
  from loaded
),
judged as (
  select
    *,
    cast(concat('0x', substr(to_hex(sha256(concat(a_type, '|', a_value))), 1, 15)) as int64) as a,
    cast(concat('0x', substr(to_hex(sha256(concat(b_type, '|', b_value))), 1, 15)) as int64) as b,
    case
      when regexp_contains(lower(a_spelled), @blocked) or regexp_contains(lower(b_spelled), @blocked)
        then 'blocked value'
      when a_type = 'phone' and length(a_value) < 8 or b_type = 'phone' and length(b_value) < 8
        then 'not a phone number'
      when a_type = 'email' and not regexp_contains(a_value, r'^[^@\s]+@[^@\s]+$')
        or b_type = 'email' and not regexp_contains(b_value, r'^[^@\s]+@[^@\s]+$')
        then 'not an e-mail address'
      when a_type = 'user_id' and regexp_contains(lower(a_value), @not_user_id)
        or b_type = 'user_id' and regexp_contains(lower(b_value), @not_user_id)
        then 'not a user id'
      when not permitted then concat('consent ', consent)
    end as kept_out
  from observed
),
ordered as (
  select
    least(a, b) as a_id,
    if(a < b, a_type, b_type) as first_type,
    if(a < b, a_value, b_value) as first_value,
    greatest(a, b) as b_id,
    if(a < b, b_type, a_type) as second_type,
    if(a < b, b_value, a_value) as second_value,
    source, consent, kept_out, first_seen, last_seen, seen
  from judged
  where a <> b
)
select
  a_id, first_type as a_type, first_value as a_value,
  b_id, second_type as b_type, second_value as b_value,
  source, consent, kept_out,
  min(first_seen) as first_seen,
  max(last_seen) as last_seen,
  sum(seen) as seen
from ordered
group by a_id, first_type, first_value, b_id, second_type, second_value, source, consent, kept_out
