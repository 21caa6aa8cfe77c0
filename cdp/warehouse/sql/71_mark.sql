-- Mark what is about to be delivered as unconfirmed: a run that dies leaves no doubt unresolved.
-- grain:   one row per profile
-- inputs:  export_row
-- params:  @seq INT64
merge into published as t
using (select profile_id, payload_hash, state from export_row) as s
on t.profile_id = s.profile_id
when matched then
  update set payload_hash = s.payload_hash, state = s.state, seq = @seq, settled = false
when not matched then
  insert (profile_id, payload_hash, state, seq, settled)
  values (s.profile_id, s.payload_hash, s.state, @seq, false)
