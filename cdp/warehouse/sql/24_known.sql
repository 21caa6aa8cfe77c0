-- The number of every identifier of this run.
-- grain:   one row per identifier, as it is joined
-- inputs:  keyed, identifier_key
create or replace table known
cluster by type, value
as
select k.type, k.value, i.identifier_id
from keyed as k
join identifier_key as i on i.keyed = k.keyed
