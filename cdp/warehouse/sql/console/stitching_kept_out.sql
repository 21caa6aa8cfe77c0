-- A page of the links that are kept out of the graph.
-- grain:   one row per pair, source, consent and reason, the most recently seen first
-- inputs:  link, hub, closed, identity, identifier_permit
-- params:  @reason STRING: one of them, or '' for all; @most INT64; where the page begins:
--          @before TIMESTAMP, @after STRING, last_seen and place of the row before it
-- output:  reason: link's, 'hub' where an end is one, or 'denies to be joined' where one denies to be joined;
--          a_joins, a_joined, a_most: what the hub at that end joins too many of, null where the end is none; place STRING: order among rows
--          that were last seen at one instant;
--          a_granted, b_granted STRING '|analytics||ads|': the purposes that the consent of that
--          end permits; null where it is in none
with worst as (
  select identifier_id, joins, joined, most
  from hub
  where true
  qualify row_number() over (partition by identifier_id order by joined desc, joins) = 1
),
kept as (
  select
    l.a_id, l.a_type, l.a_value, l.b_id, l.b_type, l.b_value, l.source, l.consent,
    case
      when l.kept_out is not null then l.kept_out
      when ha.identifier_id is not null or hb.identifier_id is not null then 'hub'
      else 'denies to be joined' end as reason, l.seen, l.first_seen, l.last_seen,
    ha.joins as a_joins, ha.joined as a_joined, ha.most as a_most,
    hb.joins as b_joins, hb.joined as b_joined, hb.most as b_most
  from link as l
  left join worst as ha on ha.identifier_id = l.a_id
  left join worst as hb on hb.identifier_id = l.b_id
  left join closed as ca on ca.identifier_id = l.a_id
  left join closed as cb on cb.identifier_id = l.b_id
  where (
      l.kept_out is not null or ha.identifier_id is not null or hb.identifier_id is not null
      or ca.identifier_id is not null or cb.identifier_id is not null
    )
    and l.last_seen <= @before
),
placed as (
  select
    *,
    concat(cast(a_id as string), '|', cast(b_id as string), '|', source, '|', consent, '|', reason)
      as place
  from kept
  where @reason = '' or reason = @reason
)
select
  cast(p.a_id as string) as a_id, p.a_type, p.a_value,
  cast(p.b_id as string) as b_id, p.b_type, p.b_value,
  p.source, p.consent, p.reason, p.seen, p.first_seen, p.last_seen,
  p.a_joins, p.a_joined, p.a_most, p.b_joins, p.b_joined, p.b_most, p.place,
  pa.granted as a_granted, pb.granted as b_granted
from placed as p
left join identity as ia on ia.identifier_id = p.a_id and ia.present
left join identifier_permit as pa on pa.identifier_id = ia.identifier_id
left join identity as ib on ib.identifier_id = p.b_id and ib.present
left join identifier_permit as pb on pb.identifier_id = ib.identifier_id
where p.last_seen < @before or p.place > @after
order by p.last_seen desc, p.place
limit @most
