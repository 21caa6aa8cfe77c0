-- Grants that lapse soon, of profiles that consent permits to keep something for the purpose, the
-- soonest first.
-- grain:   one row per profile, identifier and purpose
-- inputs:  word, identity, identifier, client, profile_consent, identifier_permit
-- params:  @purposes ARRAY<STRING>, @until TIMESTAMP, inclusive, @most INT64: rows a purpose
-- output:  grants, profiles INT64: of the purpose, in all; granted STRING '|analytics||ads|': the
--          purposes that the identifier's consent permits
with due as (
  select
    w.purpose, p.profile_id, p.identifier_id, i.type, coalesce(c.client_id, i.value) as value,
    w.source, w.said_at, w.lapses_at
  from word as w
  join identifier as i on w.subject = concat(i.type, '|', i.value)
  join identity as p on p.identifier_id = i.identifier_id
  join profile_consent as s
    on s.profile_id = p.profile_id and s.purpose = w.purpose and s.state = 'granted'
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where p.present and w.state = 'granted' and w.lapses_at <= @until
    and w.purpose in unnest(@purposes)
),
counted as (
  select purpose, count(*) as grants, count(distinct profile_id) as profiles
  from due
  group by purpose
)
select
  d.purpose, d.profile_id, d.type, d.value, d.source, d.said_at, d.lapses_at,
  k.grants, k.profiles, m.granted
from due as d
join counted as k on k.purpose = d.purpose
left join identifier_permit as m on m.identifier_id = d.identifier_id
where true
qualify row_number() over (
  partition by d.purpose order by d.lapses_at, d.profile_id, d.type, d.value
) <= @most
order by d.lapses_at, d.purpose, d.profile_id, d.type, d.value
