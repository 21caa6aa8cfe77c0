-- Profiles whose identifiers disagree on a purpose, with both sides.
-- grain:   one row per profile, purpose and identifier, in that order, the newest word first
-- inputs:  consent_signal, raw_decision, client, identity, identifier, profile_consent, permit
-- params:  @explicit_sources, @purposes ARRAY<STRING>, @after_profile, @after_purpose STRING: where
--          the page before ended, @most INT64: pairs of profile and purpose,
--          @sides INT64: identifiers a side
-- output:  state, source, since: what is in force; told, told_by, told_at: the identifier's newest;
--          granted STRING '|analytics||ads|': the purposes that the profile permits
-- rule:    50_consent's: the newest signal of each identifier; they disagree where one grants and
--          another denies
with several as (
  select profile_id from identity where present group by profile_id having count(*) > 1
),
-- Where nothing was denied and nobody decided, nothing disagrees.
possible as (
  select c.profile_id, c.purpose, c.state, c.source, c.since
  from profile_consent as c
  join several as s on s.profile_id = c.profile_id
  where c.purpose in unnest(@purposes)
    and (c.state = 'denied' or c.source in unnest(@explicit_sources))
    and (
      c.profile_id > @after_profile
      or c.profile_id = @after_profile and c.purpose > @after_purpose
    )
),
member as (
  select o.profile_id, p.identifier_id, i.type, i.value
  from (select distinct profile_id from possible) as o
  join identity as p on p.profile_id = o.profile_id
  join identifier as i on i.identifier_id = p.identifier_id
  where p.present
),
decided as (
  select
    type,
    case type
      when 'email' then lower(trim(value))
      when 'phone' then concat('+', regexp_replace(value, r'[^0-9]', ''))
      else trim(value) end as value,
    purpose, state, decided_at, source
  from raw_decision
  where purpose in unnest(@purposes) and not source in unnest(@explicit_sources)
),
told as (
  select type, value, purpose, state, 'ga4' as source, last_at
  from consent_signal
  where purpose in unnest(@purposes)
  union all
  select
    d.type, coalesce(c.client_key, d.value) as value, d.purpose, d.state, d.source,
    d.decided_at as last_at
  from decided as d
  left join client as c on d.type = 'client_id' and c.client_id = d.value
),
newest as (
  select m.profile_id, m.identifier_id, m.type, m.value, t.purpose, t.state, t.source, t.last_at
  from told as t
  join member as m on m.type = t.type and m.value = t.value
  where true
  qualify row_number() over (
    partition by m.identifier_id, t.purpose
    order by t.last_at desc, if(t.state = 'denied', 0, 1), t.source
  ) = 1
),
torn as (
  select profile_id, purpose
  from newest
  group by profile_id, purpose
  having countif(state = 'granted') > 0 and countif(state = 'denied') > 0
),
page as (
  select p.profile_id, p.purpose, p.state, p.source, p.since
  from torn as t
  join possible as p on p.profile_id = t.profile_id and p.purpose = t.purpose
  order by p.profile_id, p.purpose
  limit @most
)
select
  p.profile_id, p.purpose, p.state, p.source, p.since,
  n.type, coalesce(c.client_id, n.value) as value,
  n.state as told, n.source as told_by, n.last_at as told_at,
  m.granted
from page as p
join newest as n on n.profile_id = p.profile_id and n.purpose = p.purpose
left join client as c on n.type = 'client_id' and c.client_key = n.value
left join permit as m on m.profile_id = p.profile_id
where true
qualify row_number() over (
  partition by p.profile_id, p.purpose, n.state order by n.last_at desc, n.identifier_id
) <= @sides
order by p.profile_id, p.purpose, n.last_at desc, n.type, n.value
