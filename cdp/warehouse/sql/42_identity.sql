-- The names in force. An identifier that is gone keeps the profile it was in last, so that it finds
-- its old id when it comes back.
-- grain:   one row per identifier ever stitched
-- inputs:  cluster, name
merge into identity as t
using (
  select c.identifier_id, n.profile_id
  from cluster as c
  join name as n on n.cluster_id = c.cluster_id
) as s
on t.identifier_id = s.identifier_id
when matched and (t.profile_id <> s.profile_id or not t.present) then
  update set profile_id = s.profile_id, present = true
when not matched then
  insert (identifier_id, profile_id, present) values (s.identifier_id, s.profile_id, true)
when not matched by source and t.present then
  update set present = false
