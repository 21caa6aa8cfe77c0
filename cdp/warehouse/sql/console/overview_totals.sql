-- How many people there are, and how many of them were recognised by more than one identifier.
-- grain:   one row
-- inputs:  payload, identity
-- output:  clusters INT64, profiles INT64: those that hold something besides consent;
--          stitched INT64: of these profiles, those with several identifiers
with joined as (
  select profile_id, count(*) as identifiers from identity where present group by profile_id
)
select
  count(*) as clusters,
  countif(p.has_fields) as profiles,
  countif(p.has_fields and j.identifiers > 1) as stitched
from payload as p
left join joined as j on j.profile_id = p.profile_id
