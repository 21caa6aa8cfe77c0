-- Contract: replace both ends of each edge by their roots; edges inside one component go.
-- grain:   as live
-- inputs:  live, parent
create or replace table live
cluster by a
as
with ends as (
  select coalesce(pa.parent, l.a) as a, coalesce(pb.parent, l.b) as b
  from live as l
  left join parent as pa on pa.id = l.a
  left join parent as pb on pb.id = l.b
)
select distinct greatest(a, b) as a, least(a, b) as b
from ends
where a <> b
