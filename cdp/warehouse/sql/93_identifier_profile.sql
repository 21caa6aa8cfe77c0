-- Every identifier with its profile, a client by its bare id; for scoring against a known truth.
-- grain:   one row per identifier in a profile
-- inputs:  identifier, identity, client
select i.type, coalesce(c.client_id, i.value) as value, p.profile_id
from identifier as i
join identity as p on p.identifier_id = i.identifier_id
left join client as c on i.type = 'client_id' and c.client_key = i.value
where p.present
