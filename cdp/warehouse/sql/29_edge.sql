-- Links admitted to the graph.
-- grain:   one row per pair of identifiers
-- inputs:  link, hub, closed
create or replace table edge
cluster by a_id
as
with kept_out as (
  select identifier_id from hub
  union distinct
  select identifier_id from closed
)
select
  l.a_id, l.b_id, l.a_type, l.b_type,
  min(l.first_seen) as first_seen,
  max(l.last_seen) as last_seen,
  sum(l.seen) as seen
from link as l
left join kept_out as ha on ha.identifier_id = l.a_id
left join kept_out as hb on hb.identifier_id = l.b_id
where l.kept_out is null and ha.identifier_id is null and hb.identifier_id is null
group by l.a_id, l.b_id, l.a_type, l.b_type
