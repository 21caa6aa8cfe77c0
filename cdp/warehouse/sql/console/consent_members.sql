-- The identifiers of some profiles, a client by its bare id.
-- grain:   one row per identifier
-- inputs:  identity, identifier, client
-- params:  @profile_ids ARRAY<STRING>
select distinct i.type, coalesce(c.client_id, i.value) as value
from identity as p
join identifier as i on i.identifier_id = p.identifier_id
left join client as c on i.type = 'client_id' and c.client_key = i.value
where p.present and p.profile_id in unnest(@profile_ids)
order by i.type, value
