-- Pairs of identifiers that were observed together: in the export, and in loaded first-party links.
-- grain:   one row per pair (the smaller type and value first) and source, with the newest consent
-- inputs:  link_day, client, raw_link (a row per loaded observation), spelling, word
-- params:  @linking STRING: the purpose under which identifiers are joined; @unstated STRING: what a
--          loaded link means that states no consent; @silence: see 20_client
-- output:  kept_out STRING: why the pair never enters the graph; null where it may
-- rule:    of one pair and source the newest consent wins, at one instant the denial; silence says
--          nothing. A loaded client id waits, unseen, until the export knows its client.
create or replace table pair
as
with loaded as (
  select
    r.a_type, coalesce(ca.client_key, a.value) as a_value,
    r.b_type, coalesce(cb.client_key, b.value) as b_value,
    lower(trim(r.source)) as source, coalesce(r.consent, 'unknown') as consent,
    r.seen_at as first_seen, r.seen_at as last_seen, 1 as seen,
    coalesce(a.problem, b.problem) as problem
  from raw_link as r
  join spelling as a
    on a.type = r.a_type and a.told = r.a_value
      and a.source = if(r.a_type = 'phone', lower(trim(r.source)), '')
  join spelling as b
    on b.type = r.b_type and b.told = r.b_value
      and b.source = if(r.b_type = 'phone', lower(trim(r.source)), '')
  left join client as ca on r.a_type = 'client_id' and ca.client_id = a.value
  left join client as cb on r.b_type = 'client_id' and cb.client_id = b.value
  where (r.a_type <> 'client_id' or ca.client_key is not null)
    and (r.b_type <> 'client_id' or cb.client_key is not null)
),
observed as (
  select
    'client_id' as a_type, l.client_key as a_value, 'user_id' as b_type, l.user_id as b_value,
    'ga4' as source, l.consent, l.first_at as first_seen, l.last_at as last_seen, l.seen,
    cast(null as string) as problem
  from link_day as l
  union all
  select a_type, a_value, b_type, b_value, source, consent, first_seen, last_seen, seen, problem
  from loaded
),
ordered as (
  select
    *, concat(a_type, '|', a_value) < concat(b_type, '|', b_value) as straight
  from observed
),
told as (
  select
    if(straight, a_type, b_type) as a_type, if(straight, a_value, b_value) as a_value,
    if(straight, b_type, a_type) as b_type, if(straight, b_value, a_value) as b_value,
    source,
    -- The time's 16 digits lead; 'denied' is told after 'granted' of the same instant.
    max(
      case consent
        when 'granted' then concat(cast(unix_micros(last_seen) as string), '0')
        when 'denied' then concat(cast(unix_micros(last_seen) as string), '1') end
    ) as newest,
    min(first_seen) as first_seen, max(last_seen) as last_seen, sum(seen) as seen,
    min(problem) as problem
  from ordered
  group by 1, 2, 3, 4, source
),
stated as (
  select
    *,
    case substr(newest, length(newest), 1) when '0' then 'granted' when '1' then 'denied'
      else 'unknown' end as consent
  from told
),
silence as (
  select
    split(s, '|')[safe_offset(1)] as country,
    split(s, '|')[safe_offset(2)] = 'granted' as permits
  from unnest(@silence) as s
  where split(s, '|')[safe_offset(0)] = @linking
)
select
  s.a_type, s.a_value, s.b_type, s.b_value, s.source, s.consent,
  case
    when s.problem is not null then s.problem
    when s.consent = 'denied' then 'consent denied'
    when s.consent = 'unknown' and s.source = 'ga4' and (
      c.client_key is null
      or not (
        w.state = 'granted'
        or coalesce(w.state, 'unknown') = 'unknown' and coalesce(
          here.permits, (select logical_or(e.permits) from silence as e where e.country = ''), false
        )
      )
    ) then 'consent unknown'
    when s.consent = 'unknown' and s.source <> 'ga4' and @unstated <> 'granted'
      then 'consent unknown'
  end as kept_out,
  s.first_seen, s.last_seen, s.seen
from stated as s
left join word as w on w.subject = concat(s.a_type, '|', s.a_value) and w.purpose = @linking
left join client as c on s.a_type = 'client_id' and c.client_key = s.a_value
left join silence as here on here.country = c.country and length(here.country) > 0
