-- The clients of a profile, with what the profile permits and when it was seen.
-- grain:   one row per client; granted and the times are the profile's, the same in every row
-- inputs:  identity, identifier, client, permit, behaviour
-- params:  @profile_id STRING, @most INT64
-- output:  opened BOOL: rows that say nothing count, too;
--          granted STRING '|analytics||ads|': the purposes that permit
select i.value as client_key, c.opened, p.granted, b.first_seen, b.last_seen
from identity as n
join identifier as i on i.identifier_id = n.identifier_id
join client as c on c.client_key = i.value
join permit as p on p.profile_id = n.profile_id
join behaviour as b on b.profile_id = n.profile_id
where n.profile_id = @profile_id and n.present and i.type = 'client_id'
order by i.value
limit @most
