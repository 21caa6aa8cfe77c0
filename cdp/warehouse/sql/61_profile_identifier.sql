-- The identifiers of each profile, as its document shows them.
-- grain:   one row per profile
-- inputs:  identity, identifier, client
-- params:  @kept INT64: values a type, the most recently seen
-- output:  identifiers INT64: how many there are in all, not only the kept ones
create or replace table profile_identifier
cluster by profile_id
as
with ranked as (
  select
    p.profile_id, i.type, coalesce(c.client_id, i.value) as value, i.last_seen,
    row_number() over (
      partition by p.profile_id, i.type order by i.last_seen desc, i.identifier_id
    ) as place,
    count(*) over (partition by p.profile_id) as identifiers
  from identity as p
  join identifier as i on i.identifier_id = p.identifier_id
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where p.present
)
select
  profile_id,
  array_agg(
    distinct if(type = 'user_id', value, null)
    ignore nulls order by if(type = 'user_id', value, null)
  ) as user_id,
  array_agg(
    distinct if(type = 'email', value, null)
    ignore nulls order by if(type = 'email', value, null)
  ) as email,
  array_agg(
    distinct if(type = 'phone', value, null)
    ignore nulls order by if(type = 'phone', value, null)
  ) as phone,
  array_agg(
    distinct if(type = 'client_id', value, null)
    ignore nulls order by if(type = 'client_id', value, null)
  ) as client_id,
  max(if(type = 'email' and place = 1, value, null)
  ) as last_email,
  max(if(type = 'phone' and place = 1, value, null)
  ) as last_phone,
  max(identifiers) as identifiers
from ranked
where place <= @kept
group by profile_id
