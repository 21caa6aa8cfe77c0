-- The profiles that an identifier's word binds, also where consent keeps it out of their documents.
-- grain:   one row per profile
-- inputs:  identity, identifier, client, bound
-- params:  @type, @value STRING: as joined, a client by its bare id
with named as (
  select i.identifier_id
  from identifier as i
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where i.type = @type and coalesce(c.client_id, i.value) = @value
),
bearer as (
  select identifier_id from named
  union distinct
  select b.other_id from bound as b join named as n on n.identifier_id = b.identifier_id
)
select distinct p.profile_id
from identity as p
join bearer as b on b.identifier_id = p.identifier_id
where p.present
order by p.profile_id
