-- Profiles whose identifiers disagree on a purpose, with both sides.
-- grain:   one row per profile, purpose and identifier, in that order, the newest word first
-- inputs:  heard, client, profile_consent, identifier_permit
-- params:  @purposes ARRAY<STRING>, @after_profile, @after_purpose STRING: where
--          the page before ended, @most INT64: pairs of profile and purpose,
--          @sides INT64: identifiers a side
-- output:  state, source, since: what is in force; told, told_by, told_at: the identifier's newest;
--          granted STRING '|analytics||ads|': the purposes that the identifier's consent permits
-- rule:    see consent_conflicts
with torn as (
  select profile_id, purpose
  from heard
  where purpose in unnest(@purposes)
    and (profile_id > @after_profile or profile_id = @after_profile and purpose > @after_purpose)
  group by profile_id, purpose
  having countif(state = 'granted' and not bound) > 0 and countif(state = 'denied') > 0
),
page as (
  select c.profile_id, c.purpose, c.state, c.source, c.since
  from torn as t
  join profile_consent as c on c.profile_id = t.profile_id and c.purpose = t.purpose
  order by c.profile_id, c.purpose
  limit @most
)
select
  p.profile_id, p.purpose, p.state, p.source, p.since,
  h.type, coalesce(c.client_id, h.value) as value,
  h.state as told, h.source as told_by, h.said_at as told_at,
  m.granted
from page as p
join heard as h on h.profile_id = p.profile_id and h.purpose = p.purpose
left join client as c on h.type = 'client_id' and c.client_key = h.value
left join identifier_permit as m on m.identifier_id = h.identifier_id
where h.state = 'denied' or h.state = 'granted' and not h.bound
qualify row_number() over (
  partition by p.profile_id, p.purpose, h.state order by h.said_at desc, h.type, h.value
) <= @sides
order by p.profile_id, p.purpose, h.said_at desc, h.type, h.value
