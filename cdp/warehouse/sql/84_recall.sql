-- Let what was published be what the document store has: a profile that it has and nobody knows of
-- is to be removed, or to be written; one that it has lost is to be written again.
-- grain:   that of published
-- inputs:  stored
-- params:  @doubt BOOL: no word about the store counts, for it is of another one, or of another time
merge into published as t
using (select distinct profile_id from stored) as s
on t.profile_id = s.profile_id
when matched and (@doubt or t.state <> 'live') then
  update set state = 'live', settled = false
when not matched then
  insert (profile_id, payload_hash, state, seq, settled)
  values (s.profile_id, '', 'live', 0, false)
when not matched by source and (t.state = 'live' or @doubt) then
  delete
