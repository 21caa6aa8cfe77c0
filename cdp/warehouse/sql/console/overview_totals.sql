-- How many people there are, and how many of them were recognised by more than one identifier.
-- grain:   one row
-- inputs:  payload
-- output:  clusters INT64, profiles INT64: those that hold something besides consent;
--          stitched INT64: of these profiles, those whose document tells of several identifiers
select
  count(*) as clusters,
  countif(has_fields) as profiles,
  countif(has_fields and identifiers.`count` > 1) as stitched
from payload
