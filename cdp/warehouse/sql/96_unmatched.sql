-- How many decisions and loaded links match nobody: they wait until somebody appears.
-- grain:   one row
-- inputs:  raw_decision, desk_decision, raw_link, spelling, identity, identifier, client
-- params:  @rules STRING; @spelled ARRAY<STRING>: see 14_spell; of what was loaded since the last run
-- output:  unmatched_decisions: of identifiers that no profile has; unmatched_links: neither end is in
--          a profile that the export has seen. What was loaded several times counts once.
with known as (
  select i.type, coalesce(c.client_id, i.value) as value, p.profile_id
  from identity as p
  join identifier as i on i.identifier_id = p.identifier_id
  left join client as c on i.type = 'client_id' and c.client_key = i.value
  where p.present
),
held as (
  select distinct type, value from known
),
seen as (
  select distinct k.type, k.value
  from known as k
  join (select distinct profile_id from known where type = 'client_id') as s
    on s.profile_id = k.profile_id
),
spelt as (
  select type, told, source, value from spelling where rules = @rules
  union all
  select
    json_value(s, '$.type'), json_value(s, '$.told'), json_value(s, '$.source'),
    json_value(s, '$.value')
  from unnest(@spelled) as s
),
decision as (
  select distinct r.type, s.value, r.purpose, r.state, r.decided_at, lower(trim(r.source)) as source
  from raw_decision as r
  join spelt as s
    on s.type = r.type and s.told = r.value
      and s.source = if(r.type = 'phone', lower(trim(r.source)), '')
  union distinct
  select type, value, purpose, state, decided_at, lower(trim(source)) from desk_decision
),
loaded as (
  select distinct
    r.a_type, a.value as a_value, r.b_type, b.value as b_value,
    lower(trim(r.source)) as source, r.consent, r.seen_at
  from raw_link as r
  join spelt as a
    on a.type = r.a_type and a.told = r.a_value
      and a.source = if(r.a_type = 'phone', lower(trim(r.source)), '')
  join spelt as b
    on b.type = r.b_type and b.told = r.b_value
      and b.source = if(r.b_type = 'phone', lower(trim(r.source)), '')
)
select
  (
    select count(*) from decision as d
    left join held as h on h.type = d.type and h.value = d.value
    where h.type is null
  ) as unmatched_decisions,
  (
    select count(*) from loaded as l
    left join seen as a on a.type = l.a_type and a.value = l.a_value
    left join seen as b on b.type = l.b_type and b.value = l.b_value
    where a.type is null and b.type is null
  ) as unmatched_links
