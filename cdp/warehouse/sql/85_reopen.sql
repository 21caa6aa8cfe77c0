-- Profiles that new decisions may have changed in the document store are to be written again, also
-- where all that is known comes to what was published before: a Yes after a No, for one.
-- grain:   that of published
-- inputs:  identity, identifier, client, bound
-- params:  @decided ARRAY<STRING>: see 86_decide
update published as t
set settled = false
from (
  select p.profile_id
  from unnest(@decided) as d
  join identifier as i on i.type = json_value(d, '$.type')
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  join identity as p on p.identifier_id = i.identifier_id
  where p.present and coalesce(c.client_id, i.value) = json_value(d, '$.value')
  union distinct
  select p.profile_id
  from unnest(@decided) as d
  join identifier as i on i.type = json_value(d, '$.type')
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  join bound as b on b.identifier_id = i.identifier_id
  join identity as p on p.identifier_id = b.other_id
  where p.present and coalesce(c.client_id, i.value) = json_value(d, '$.value')
) as s
where s.profile_id = t.profile_id
