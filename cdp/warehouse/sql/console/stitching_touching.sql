-- The links of one profile's identifiers that are kept out of the graph.
-- grain:   one row per pair, source, consent and reason, the most recently seen first; a is the
--          profile's identifier
-- inputs:  identity, link, hub, closed, identifier_permit
-- params:  @profile_id STRING, @most INT64
-- output:  as stitching_kept_out; links INT64: how many there are
with member as (
  select identifier_id from identity where present and profile_id = @profile_id
),
worst as (
  select identifier_id, joins, joined, most
  from hub
  where true
  qualify row_number() over (partition by identifier_id order by joined desc, joins) = 1
),
near as (
  select
    l.a_id, l.a_type, l.a_value, l.b_id, l.b_type, l.b_value,
    l.source, l.consent, l.kept_out, l.seen, l.first_seen, l.last_seen
  from member as m
  join link as l on l.a_id = m.identifier_id
  union all
  select
    l.b_id, l.b_type, l.b_value, l.a_id, l.a_type, l.a_value,
    l.source, l.consent, l.kept_out, l.seen, l.first_seen, l.last_seen
  from member as m
  join link as l on l.b_id = m.identifier_id
  left join member as other on other.identifier_id = l.a_id
  where other.identifier_id is null  -- told above
)
select
  cast(n.a_id as string) as a_id, n.a_type, n.a_value,
  cast(n.b_id as string) as b_id, n.b_type, n.b_value,
  n.source, n.consent, case
      when n.kept_out is not null then n.kept_out
      when ha.identifier_id is not null or hb.identifier_id is not null then 'hub'
      else 'denies to be joined' end as reason, n.seen, n.first_seen, n.last_seen,
  ha.joins as a_joins, ha.joined as a_joined, ha.most as a_most,
  hb.joins as b_joins, hb.joined as b_joined, hb.most as b_most,
  pa.granted as a_granted, pb.granted as b_granted,
  count(*) over () as links
from near as n
left join worst as ha on ha.identifier_id = n.a_id
left join worst as hb on hb.identifier_id = n.b_id
left join closed as ca on ca.identifier_id = n.a_id
left join closed as cb on cb.identifier_id = n.b_id
left join identity as ia on ia.identifier_id = n.a_id and ia.present
left join identifier_permit as pa on pa.identifier_id = ia.identifier_id
left join identity as ib on ib.identifier_id = n.b_id and ib.present
left join identifier_permit as pb on pb.identifier_id = ib.identifier_id
where n.kept_out is not null or ha.identifier_id is not null or hb.identifier_id is not null
  or ca.identifier_id is not null or cb.identifier_id is not null
order by n.last_seen desc, n.a_id, n.b_id, n.source, n.consent, n.kept_out
limit @most
