-- Confirm what receipts confirmed: the profiles of delivered shards, but for rejected ones.
-- grain:   one row per profile
-- inputs:  export_row
-- params:  @shards INT64: shards of the run; @open_shards ARRAY<INT64>: those in doubt, below
--          @open_from INT64, from which on all are; @rejected_ids ARRAY<STRING>
update published as t
set settled = true
from export_row as e
where e.profile_id = t.profile_id
  and div(e.bucket * @shards, 10000) not in unnest(@open_shards)
  and div(e.bucket * @shards, 10000) < @open_from
  and e.profile_id not in unnest(@rejected_ids)
