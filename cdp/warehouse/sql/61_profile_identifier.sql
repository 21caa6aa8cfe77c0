-- The identifiers of each profile, as its document shows them.
-- grain:   one row per profile
-- inputs:  identity, identifier, client, value_consent
-- params:  @kept INT64: values a type, the most recently seen;
--          @may_identifiers_email, @may_identifiers_phone, @may_contact_email, @may_contact_phone
--          STRING: '|purpose|' that permits the field; @value_purposes ARRAY<STRING>, spelled alike:
--          those of scope value; @unknown_granted ARRAY<STRING>
-- output:  identifiers INT64: how many there are in all, not only the kept ones;
--          lists of addresses and numbers, and the last ones, hold only what their own consent permits
-- rule:    whether the profile's consent permits the field at all is decided by who reads this
create or replace table profile_identifier
cluster by profile_id
as
with permitted as (
  select
    identifier_id, profile_id,
    string_agg(concat('|', purpose, '|'), '') as purposes
  from value_consent
  where state = 'granted' or state = 'unknown' and purpose in unnest(@unknown_granted)
  group by identifier_id, profile_id
),
member as (
  select
    p.profile_id, p.identifier_id, i.type, coalesce(c.client_id, i.value) as value, i.last_seen,
    case i.type
      when 'email' then not @may_identifiers_email in unnest(@value_purposes)
        or coalesce(strpos(v.purposes, @may_identifiers_email) > 0, false)
      when 'phone' then not @may_identifiers_phone in unnest(@value_purposes)
        or coalesce(strpos(v.purposes, @may_identifiers_phone) > 0, false)
      else true end as listed,
    case i.type
      when 'email' then not @may_contact_email in unnest(@value_purposes)
        or coalesce(strpos(v.purposes, @may_contact_email) > 0, false)
      when 'phone' then not @may_contact_phone in unnest(@value_purposes)
        or coalesce(strpos(v.purposes, @may_contact_phone) > 0, false)
      else false end as reachable
  from identity as p
  join identifier as i on i.identifier_id = p.identifier_id
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  left join permitted as v
    on v.identifier_id = p.identifier_id and v.profile_id = p.profile_id
  where p.present
),
ranked as (
  select
    profile_id, type, value, listed, reachable,
    row_number() over (
      partition by profile_id, type, listed order by last_seen desc, value
    ) as place,
    row_number() over (
      partition by profile_id, type, reachable order by last_seen desc, value
    ) as place_reachable,
    count(*) over (partition by profile_id) as identifiers
  from member
)
select
  profile_id,
  array_agg(
    distinct if(type = 'user_id' and place <= @kept, value, null)
    ignore nulls order by if(type = 'user_id' and place <= @kept, value, null)
  ) as user_id,
  array_agg(
    distinct if(type = 'email' and listed and place <= @kept, value, null)
    ignore nulls order by if(type = 'email' and listed and place <= @kept, value, null)
  ) as email,
  array_agg(
    distinct if(type = 'phone' and listed and place <= @kept, value, null)
    ignore nulls order by if(type = 'phone' and listed and place <= @kept, value, null)
  ) as phone,
  array_agg(
    distinct if(type = 'client_id' and place <= @kept, value, null)
    ignore nulls order by if(type = 'client_id' and place <= @kept, value, null)
  ) as client_id,
  max(if(type = 'email' and reachable and place_reachable = 1, value, null)) as last_email,
  max(if(type = 'phone' and reachable and place_reachable = 1, value, null)) as last_phone,
  max(identifiers) as identifiers
from ranked
group by profile_id
