-- Name the clusters: each keeps the profile id that its earliest identifier had before.
-- grain:   one row per cluster
-- inputs:  cluster, identifier, identity (the names so far), identity_history,
--          tombstone
-- params:  @salt STRING, secret: an id tells nothing of the identifier it was made from; @seq INT64
-- Where several clusters claim one id, the one whose claiming identifier was still in the profile
-- and was seen first has it; the others get ids of their own.
create or replace table name
cluster by cluster_id
as
with member as (
  select
    c.cluster_id, c.identifier_id, i.first_seen, i.type, i.value,
    before.profile_id as was, before.present
  from cluster as c
  join identifier as i on i.identifier_id = c.identifier_id
  left join identity as before on before.identifier_id = c.identifier_id
),
claim as (
  select cluster_id, was, present, first_seen, type, value
  from member
  where was is not null
  qualify row_number() over (partition by cluster_id order by first_seen, type, value) = 1
),
kept as (
  select cluster_id, was as profile_id
  from claim
  where true
  qualify row_number() over (
    partition by was order by if(present, 0, 1), first_seen, type, value
  ) = 1
),
earliest as (
  select cluster_id, type, value
  from member
  where true
  qualify row_number() over (partition by cluster_id order by first_seen, type, value) = 1
),
minted as (
  select
    e.cluster_id, k.profile_id as kept_id,
    concat('p_', substr(to_hex(sha256(concat(@salt, '|', e.type, '|', e.value))), 1, 24)) as new_id,
    concat(
      'p_',
      substr(to_hex(sha256(concat(@salt, '|', e.type, '|', e.value, '|', cast(@seq as string)))), 1, 24)
    ) as other_id
  from earliest as e
  left join kept as k on k.cluster_id = e.cluster_id
),
taken as (
  select profile_id from identity
  union distinct
  select from_id from identity_history
  union distinct
  select keyed from tombstone  -- those of profiles that were erased are their ids
)
select
  m.cluster_id,
  case
    when m.kept_id is not null then m.kept_id
    when t.profile_id is null then m.new_id
    else m.other_id end as profile_id
from minted as m
left join taken as t on t.profile_id = m.new_id
