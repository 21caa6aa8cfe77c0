-- The largest clusters.
-- grain:   one row per cluster, the largest first
-- inputs:  cluster, name, identifier, edge
-- params:  @most INT64
with largest as (
  select cluster_id, count(*) as size
  from cluster
  group by cluster_id
  order by size desc, cluster_id
  limit @most
),
member as (
  select
    l.cluster_id, l.size,
    countif(i.type = 'user_id') as user_id,
    countif(i.type = 'email') as email,
    countif(i.type = 'phone') as phone,
    countif(i.type = 'client_id') as client_id,
    min(i.first_seen) as first_seen,
    max(i.last_seen) as last_seen
  from largest as l
  join cluster as c on c.cluster_id = l.cluster_id
  join identifier as i on i.identifier_id = c.identifier_id
  group by l.cluster_id, l.size
),
joined as (
  select l.cluster_id, count(*) as edges
  from largest as l
  join cluster as c on c.cluster_id = l.cluster_id
  join edge as e on e.a_id = c.identifier_id
  group by l.cluster_id
)
select
  n.profile_id, m.size, m.user_id, m.email, m.phone, m.client_id,
  coalesce(j.edges, 0) as edges, m.first_seen, m.last_seen
from member as m
join name as n on n.cluster_id = m.cluster_id
left join joined as j on j.cluster_id = m.cluster_id
order by m.size desc, n.profile_id
