-- Profiles that ended in others.
-- grain:   one row per profile
-- inputs:  identity_history
-- params:  @profiles ARRAY<STRING>
select distinct from_id as profile_id
from identity_history
where kind = 'merge' and to_id in unnest(@profiles) and from_id not in unnest(@profiles)
