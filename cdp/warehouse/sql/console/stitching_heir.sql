-- The profile that one ended in which nothing bears any more.
-- grain:   one row, or none where the profile lives or ended in no other
-- inputs:  identity_history, name
-- params:  @profile_id STRING
select h.to_id
from identity_history as h
left join name as living on living.profile_id = h.from_id
where h.kind = 'merge' and h.from_id = @profile_id and living.profile_id is null
order by h.seq desc, h.to_id
limit 1
