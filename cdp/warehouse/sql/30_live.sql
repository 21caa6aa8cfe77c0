-- Start of stitching: edges between different components, the greater end first.
-- grain:   one row per pair
-- inputs:  edge
create or replace table live
cluster by a
as
select distinct greatest(a_id, b_id) as a, least(a_id, b_id) as b
from edge
where a_id <> b_id
