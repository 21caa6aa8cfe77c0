-- Confirm what receipts confirmed: the profiles of delivered shards, but for rejected ones.
-- grain:   one row per profile
-- inputs:  export_row
-- params:  @shards INT64: shards of the run; @settled_shards ARRAY<INT64>: the delivered ones;
--          @rejected_ids ARRAY<STRING>
update published as t
set settled = true
from export_row as e
where e.profile_id = t.profile_id
  and div(e.bucket * @shards, 10000) in unnest(@settled_shards)
  and e.profile_id not in unnest(@rejected_ids)
