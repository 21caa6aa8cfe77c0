-- Record what this run joined and parted; run again, it adds nothing.
-- grain:   that of identity_history
-- inputs:  cluster, name, identifier, identity (still the names before this run)
-- params:  @seq INT64, @run_id STRING, @now TIMESTAMP
insert into identity_history (seq, run_id, happened_at, kind, from_id, to_id)
with moved as (
  select distinct before.profile_id as from_id, n.profile_id as to_id
  from cluster as c
  join name as n on n.cluster_id = c.cluster_id
  join identity as before on before.identifier_id = c.identifier_id
  where before.present and before.profile_id <> n.profile_id
),
heir as (
  -- An id that nothing bears any more resolves to the profile of its earliest identifier.
  select before.profile_id as from_id, n.profile_id as to_id
  from cluster as c
  join name as n on n.cluster_id = c.cluster_id
  join identifier as i on i.identifier_id = c.identifier_id
  join identity as before on before.identifier_id = c.identifier_id
  left join name as still on still.profile_id = before.profile_id
  where before.present and still.profile_id is null
  qualify row_number() over (
    partition by before.profile_id order by i.first_seen, i.type, i.value
  ) = 1
)
select @seq, @run_id, @now, if(h.from_id is null, 'split', 'merge'), m.from_id, m.to_id
from moved as m
left join heir as h on h.from_id = m.from_id and h.to_id = m.to_id
where @seq not in (select told.seq from identity_history as told)
