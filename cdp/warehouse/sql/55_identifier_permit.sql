-- What each identifier's consent permits: whether it may be shown, wherever it stands.
-- grain:   one row per identifier in a profile
-- inputs:  identity, identifier, permit, value_consent
-- params:  @value_purposes ARRAY<STRING> of '|purpose|': those of scope value;
--          @unknown_granted ARRAY<STRING>
-- output:  granted STRING '|analytics||ads|': the purposes that permit, those of scope value of an
--          address or number by its own word
create or replace table identifier_permit
cluster by identifier_id
as
with own as (
  select
    profile_id, identifier_id,
    string_agg(concat('|', purpose, '|'), '' order by purpose) as granted
  from value_consent
  where state = 'granted' or state = 'unknown' and purpose in unnest(@unknown_granted)
  group by profile_id, identifier_id
),
person as (
  select m.profile_id, string_agg(concat('|', c.purpose, '|'), '' order by c.purpose) as granted
  from permit as m
  cross join unnest(m.consent) as c
  where not concat('|', c.purpose, '|') in unnest(@value_purposes)
    and (c.state = 'granted' or c.state = 'unknown' and c.purpose in unnest(@unknown_granted))
  group by m.profile_id
)
select
  p.identifier_id,
  if(
    i.type in ('email', 'phone'),
    concat(coalesce(r.granted, ''), coalesce(o.granted, '')), m.granted
  ) as granted
from identity as p
join identifier as i on i.identifier_id = p.identifier_id
join permit as m on m.profile_id = p.profile_id
left join person as r on r.profile_id = p.profile_id
left join own as o on o.profile_id = p.profile_id and o.identifier_id = p.identifier_id
where p.present
