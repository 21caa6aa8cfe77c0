-- Profiles that new decisions may have changed in the document store are to be written again, also
-- where all that is known comes to what was published before: a Yes after a No, for one.
-- grain:   that of published
-- inputs:  identity, identifier, client, bound
-- params:  @decided ARRAY<STRING>: see 86_decide
update published as t
set settled = false
where t.profile_id in (
  with told as (
    select json_value(d, '$.type') as type, json_value(d, '$.value') as value
    from unnest(@decided) as d
  ),
  named as (
    select i.identifier_id
    from identifier as i
    left join client as c on i.type = 'client_id' and c.client_key = i.value
    join told as n on n.type = i.type and n.value = coalesce(c.client_id, i.value)
  ),
  bearer as (
    select identifier_id from named
    union distinct
    select b.other_id from bound as b join named as n on n.identifier_id = b.identifier_id
  )
  select p.profile_id
  from identity as p
  join bearer as b on b.identifier_id = p.identifier_id
  where p.present
)
