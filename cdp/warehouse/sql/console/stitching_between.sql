-- Links kept out that would have joined the profiles of two identifiers: directly, or by way of a
-- third identifier that both were seen with.
-- grain:   one row per direct link, the most recently seen first; then one per third identifier and
--          side, its newest link. a is of the side's profile, b of the other's or the third
-- inputs:  identity, link, hub, closed, identifier_permit
-- params:  @first, @second INT64: the identifiers; @most INT64
-- output:  as stitching_kept_out; side INT64: 1 or 2; direct BOOL: told from side 1 only
with of_profile as (
  select i.identifier_id as wanted, m.identifier_id
  from identity as i
  join identity as m on m.profile_id = i.profile_id
  where i.identifier_id in (@first, @second) and i.present and m.present
),
member as (
  select if(wanted = @first, 1, 2) as side, identifier_id from of_profile
  union distinct
  select 1, @first
  union distinct
  select 2, @second
),
worst as (
  select identifier_id, joins, joined, most
  from hub
  where true
  qualify row_number() over (partition by identifier_id order by joined desc, joins) = 1
),
near as (
  select
    m.side, l.a_id, l.a_type, l.a_value, l.b_id, l.b_type, l.b_value,
    l.source, l.consent, l.kept_out, l.seen, l.first_seen, l.last_seen
  from member as m
  join link as l on l.a_id = m.identifier_id
  union all
  select
    m.side, l.b_id, l.b_type, l.b_value, l.a_id, l.a_type, l.a_value,
    l.source, l.consent, l.kept_out, l.seen, l.first_seen, l.last_seen
  from member as m
  join link as l on l.b_id = m.identifier_id
),
kept as (
  select
    n.side, n.a_id, n.a_type, n.a_value, n.b_id, n.b_type, n.b_value,
    n.source, n.consent, case
      when n.kept_out is not null then n.kept_out
      when ha.identifier_id is not null or hb.identifier_id is not null then 'hub'
      else 'denies to be joined' end as reason, n.seen, n.first_seen, n.last_seen,
    ha.joins as a_joins, ha.joined as a_joined, ha.most as a_most,
    hb.joins as b_joins, hb.joined as b_joined, hb.most as b_most,
    m.side as other_side
  from near as n
  left join worst as ha on ha.identifier_id = n.a_id
  left join worst as hb on hb.identifier_id = n.b_id
  left join closed as ca on ca.identifier_id = n.a_id
  left join closed as cb on cb.identifier_id = n.b_id
  left join member as m on m.identifier_id = n.b_id
  where n.kept_out is not null or ha.identifier_id is not null or hb.identifier_id is not null
    or ca.identifier_id is not null or cb.identifier_id is not null
),
third as (
  select b_id
  from kept
  where other_side is null
  group by b_id
  having count(distinct side) = 2
)
select
  k.side, k.other_side is not null as direct,
  cast(k.a_id as string) as a_id, k.a_type, k.a_value,
  cast(k.b_id as string) as b_id, k.b_type, k.b_value,
  k.source, k.consent, k.reason, k.seen, k.first_seen, k.last_seen,
  k.a_joins, k.a_joined, k.a_most, k.b_joins, k.b_joined, k.b_most,
  pa.granted as a_granted, pb.granted as b_granted
from kept as k
left join third as t on t.b_id = k.b_id
left join identity as ia on ia.identifier_id = k.a_id and ia.present
left join identifier_permit as pa on pa.identifier_id = ia.identifier_id
left join identity as ib on ib.identifier_id = k.b_id and ib.present
left join identifier_permit as pb on pb.identifier_id = ib.identifier_id
where (k.side = 1 and k.other_side = 2) or t.b_id is not null
qualify t.b_id is null
  or row_number() over (
    partition by k.side, k.b_id order by k.last_seen desc, k.a_id, k.source, k.consent, k.reason
  ) = 1
order by
  direct desc, if(t.b_id is null, 0, k.b_id), k.last_seen desc,
  k.a_id, k.b_id, k.source, k.consent, k.reason
limit @most
