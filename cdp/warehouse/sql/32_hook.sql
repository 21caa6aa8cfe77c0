-- Hook: each identifier takes its smallest neighbour. A parent is smaller than its child, so that
-- there are no cycles.
-- grain:   one row per identifier with a smaller neighbour
-- inputs:  live
create or replace table parent
cluster by id
as
select a as id, min(b) as parent from live group by a
