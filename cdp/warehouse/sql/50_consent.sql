-- Whose words count for each profile, and what they amount to for purposes of scope person.
-- grain:   heard: one row per profile, identifier and purpose of which anything was said;
--          person_consent: one row per profile and purpose
-- inputs:  identity, identifier, bound, word
-- params:  @purpose_rules: see 17_word
-- output:  bound BOOL: of an identifier that would be the profile's if it did not deny to be joined
-- rule:    denied where any identifier denies, unless a newer explicit Yes on a user id of the profile
--          stands; that sets no user id's No aside. Else granted where one of the profile's own
--          grants. Source: GDPR Art. 4(11), 7(3).
create or replace table heard
cluster by profile_id
as
with member as (
  select p.profile_id, p.identifier_id, false as bound
  from identity as p
  where p.present
  union distinct
  select p.profile_id, b.identifier_id, true
  from bound as b
  join identity as p on p.identifier_id = b.other_id
  where p.present
)
select
  m.profile_id, m.identifier_id, m.bound, i.type, i.value,
  w.purpose, w.state, w.since, w.source, w.explicit, w.said_at, w.denied_at, w.yes_at, w.asked_at
from member as m
join identifier as i on i.identifier_id = m.identifier_id
join word as w on w.subject = concat(i.type, '|', i.value);

create or replace table person_consent
cluster by profile_id
as
with person as (
  select split(r, '|')[safe_offset(0)] as purpose
  from unnest(@purpose_rules) as r
  where split(r, '|')[safe_offset(1)] = 'person'
),
user as (
  select
    profile_id, purpose,
    max(yes_at) as standing,
    max(asked_at) as asked,
    max(if(asked_at is not null and yes_at is null, since, null)) as lost
  from heard
  where type = 'user_id' and not bound
  group by profile_id, purpose
),
judged as (
  select
    h.profile_id, h.purpose, h.bound, h.state, h.since, h.source, h.explicit, h.said_at,
    h.denied_at, u.standing,
    h.state = 'denied'
      and (h.type = 'user_id' or u.standing is null or u.standing <= h.denied_at) as denies,
    -- Since when a No binds: a Yes on a user id may have set it aside for a while.
    if(
      h.type = 'user_id' or u.asked is null or u.asked <= h.since,
      h.since, greatest(u.asked, h.denied_at, coalesce(u.lost, u.asked))
    ) as begun
  from heard as h
  join person as p on p.purpose = h.purpose
  left join user as u on u.profile_id = h.profile_id and u.purpose = h.purpose
),
weighed as (
  select
    profile_id, purpose,
    logical_or(denies) as denied,
    min(if(denies, begun, null)) as denied_since,
    -- The newest: the time's 16 digits lead.
    substr(max(if(
      denies,
      concat(cast(unix_micros(said_at) as string), if(explicit, '1', '0'), source), null
    )), 18) as denied_by,
    logical_or(state = 'granted' and not bound) as granted,
    min(if(state = 'granted' and not bound, since, null)) as granted_since,
    max(if(state = 'granted' and not bound and denied_at is not null, since, null)) as ended,
    max(if(state = 'denied', standing, null)) as set_aside,
    substr(max(if(
      state = 'granted' and not bound,
      concat(cast(unix_micros(said_at) as string), if(explicit, '1', '0'), source), null
    )), 18) as granted_by
  from judged
  group by profile_id, purpose
)
select
  profile_id, purpose,
  if(denied, 'denied', 'granted') as state,
  if(denied, denied_by, granted_by) as source,
  if(
    denied, denied_since,
    greatest(
      granted_since, coalesce(ended, granted_since), coalesce(set_aside, granted_since)
    )
  ) as since
from weighed
where denied or granted
