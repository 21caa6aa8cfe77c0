-- Where identifiers stand that somebody names by value, by id, or by their profile.
-- grain:   one row per identifier, also where nothing is known of it
-- inputs:  client, link, known, identifier, identity, identifier_permit, hub, closed
-- params:  @names ARRAY<STRING>: values as they may be stored, a client by its key or its bare id;
--          @ids ARRAY<INT64>: -1 for none; @profile_id STRING: '' for none; @most INT64: rows
-- output:  profile_id: the one it is in, or was in last; present BOOL: is in it; kept_out
--          ARRAY<STRING>: reasons of its links; joins, joined, most: of the hub that it is;
--          closed BOOL: it denies to be joined;
--          granted STRING '|analytics||ads|': the purposes that its consent permits
with typed as (
  select type, value
  from unnest(['user_id', 'email', 'phone', 'client_id']) as type
  cross join unnest(@names) as value
  union distinct
  select 'client_id', client_key from client where client_id in unnest(@names)
  union distinct
  -- A client without consent is in links alone, by its key.
  select 'client_id', l.a_value
  from link as l
  join unnest(@names) as value on ends_with(l.a_value, concat('/', value))
  where l.kept_out is not null and l.a_type = 'client_id'
    and regexp_replace(l.a_value, r'^[^/]*/[^/]*/', '') = value
  union distinct
  select 'client_id', l.b_value
  from link as l
  join unnest(@names) as value on ends_with(l.b_value, concat('/', value))
  where l.kept_out is not null and l.b_type = 'client_id'
    and regexp_replace(l.b_value, r'^[^/]*/[^/]*/', '') = value
),
named as (
  -- What was never met has a number below all others, the same in every look-up.
  select
    coalesce(
      k.identifier_id,
      -2 - cast(concat('0x', substr(to_hex(md5(concat(t.type, '|', t.value))), 1, 15)) as int64)
    ) as identifier_id,
    t.type, t.value
  from typed as t
  left join known as k on k.type = t.type and k.value = t.value
  union all
  select id, cast(null as string), cast(null as string) from unnest(@ids) as id where id <> -1
  union all
  select identifier_id, cast(null as string), cast(null as string)
  from identity
  where present and profile_id = @profile_id
),
wanted as (
  select identifier_id, max(type) as type, max(value) as value from named group by identifier_id
),
linked as (
  select w.identifier_id, l.a_type as type, l.a_value as value, l.kept_out, l.first_seen, l.last_seen
  from wanted as w
  join link as l on l.a_id = w.identifier_id
  union all
  select w.identifier_id, l.b_type, l.b_value, l.kept_out, l.first_seen, l.last_seen
  from wanted as w
  join link as l on l.b_id = w.identifier_id
),
told as (
  select
    identifier_id,
    max(type) as type,
    max(value) as value,
    min(first_seen) as first_seen,
    max(last_seen) as last_seen,
    array_agg(distinct kept_out ignore nulls order by kept_out) as kept_out
  from linked
  group by identifier_id
),
worst as (
  select identifier_id, joins, joined, most
  from hub
  where true
  qualify row_number() over (partition by identifier_id order by joined desc, joins) = 1
)
select
  cast(w.identifier_id as string) as identifier_id,
  coalesce(i.type, t.type, w.type) as type,
  coalesce(i.value, t.value, w.value) as value,
  p.profile_id,
  coalesce(p.present, false) as present,
  t.kept_out,
  h.joins, h.joined, h.most,
  c.identifier_id is not null as closed,
  m.granted,
  coalesce(i.first_seen, t.first_seen) as first_seen,
  coalesce(i.last_seen, t.last_seen) as last_seen
from wanted as w
left join identifier as i on i.identifier_id = w.identifier_id
left join told as t on t.identifier_id = w.identifier_id
left join identity as p on p.identifier_id = w.identifier_id
left join identifier_permit as m on m.identifier_id = p.identifier_id
left join closed as c on c.identifier_id = w.identifier_id
left join worst as h on h.identifier_id = w.identifier_id
order by present desc, coalesce(i.last_seen, t.last_seen) desc, w.identifier_id
limit @most
