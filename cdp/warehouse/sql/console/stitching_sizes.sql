-- How many clusters there are of which size.
-- grain:   one row per range of sizes that has clusters
-- inputs:  cluster
-- output:  from_size INT64, the smallest size of the range; largest INT64, the greatest in it
with sized as (
  select cluster_id, count(*) as size from cluster group by cluster_id
),
ranged as (
  select
    case
      when size <= 5 then size
      when size <= 10 then 6
      when size <= 20 then 11
      when size <= 50 then 21
      when size <= 100 then 51
      else 101 end as from_size,
    size
  from sized
)
select from_size, count(*) as clusters, max(size) as largest
from ranged
group by from_size
order by from_size
