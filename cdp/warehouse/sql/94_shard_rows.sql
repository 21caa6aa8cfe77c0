-- How many rows each shard of the export has; shards without any are left out.
-- grain:   one row per shard
-- inputs:  export_row
-- params:  @shards INT64: shards of the run
select div(e.bucket * @shards, 10000) as shard, count(*) as shard_rows
from export_row as e
group by shard
order by shard
