-- Confirm what receipts confirmed: every profile of the shards whose rows were all accepted.
-- grain:   one row per profile
-- inputs:  export_row
-- params:  @shards INT64: shards of the run; @settled_shards ARRAY<INT64>: those without a reject
update published as t
set settled = true
from export_row as e
where e.profile_id = t.profile_id and div(e.bucket * @shards, 10000) in unnest(@settled_shards)
