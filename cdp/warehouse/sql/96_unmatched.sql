-- How many loaded decisions and links match nobody: they wait until somebody appears.
-- grain:   one row
-- inputs:  raw_decision, raw_link, identity, identifier, client
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
decision as (
  select distinct
    type,
    case type
      when 'email' then lower(trim(value))
      when 'phone' then concat('+', regexp_replace(value, r'[^0-9]', ''))
      else trim(value) end as value,
    purpose, state, decided_at, source
  from raw_decision
),
loaded as (
  select distinct
    a_type,
    case a_type
      when 'email' then lower(trim(a_value))
      when 'phone' then concat('+', regexp_replace(a_value, r'[^0-9]', ''))
      else trim(a_value) end as a_value,
    b_type,
    case b_type
      when 'email' then lower(trim(b_value))
      when 'phone' then concat('+', regexp_replace(b_value, r'[^0-9]', ''))
      else trim(b_value) end as b_value,
    source, consent, seen_at
  from raw_link
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
