-- Clusters: the smallest identifier of a component is its cluster_id.
-- grain:   one row per identifier
-- inputs:  identifier, label
create or replace table cluster
cluster by identifier_id
as
select i.identifier_id, coalesce(l.label, i.identifier_id) as cluster_id
from identifier as i
left join label as l on l.id = i.identifier_id
