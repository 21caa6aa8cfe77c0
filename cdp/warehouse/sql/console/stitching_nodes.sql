-- The identifiers of one profile.
-- grain:   one row per identifier, the most recently seen first
-- inputs:  identity, identifier, identifier_permit
-- params:  @profile_id STRING, @ids ARRAY<INT64>: these of them, or -1 for all; @most INT64
-- output:  nodes INT64: how many the profile has of the wanted; granted STRING '|analytics||ads|':
--          the purposes that the identifier's consent permits
select
  cast(i.identifier_id as string) as identifier_id, i.type, i.value, i.first_seen, i.last_seen,
  m.granted, count(*) over () as nodes
from identity as p
join identifier as i on i.identifier_id = p.identifier_id
left join identifier_permit as m on m.identifier_id = p.identifier_id
where p.present
  and p.profile_id = @profile_id
  and (-1 in unnest(@ids) or p.identifier_id in unnest(@ids))
order by i.last_seen desc, i.identifier_id
limit @most
