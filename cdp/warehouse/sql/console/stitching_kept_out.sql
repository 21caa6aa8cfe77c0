-- A page of the links that are kept out of the graph.
-- grain:   one row per pair, source, consent and reason, the most recently seen first
-- inputs:  link, hub
-- params:  @reason STRING: one of them, or '' for all; @most INT64; where the page begins:
--          @before TIMESTAMP, @after STRING, last_seen and place of the row before it
-- output:  reason: link's, or 'hub' where an end is one; a_joins, a_joined, a_most: what the hub at
--          that end joins too many of, null where the end is none; place STRING: order among rows
--          that were last seen at one instant
with worst as (
  select identifier_id, joins, joined, most
  from hub
  where true
  qualify row_number() over (partition by identifier_id order by joined desc, joins) = 1
),
kept as (
  select
    l.a_id, l.a_type, l.a_value, l.b_id, l.b_type, l.b_value, l.source, l.consent,
    coalesce(l.kept_out, 'hub') as reason, l.seen, l.first_seen, l.last_seen,
    ha.joins as a_joins, ha.joined as a_joined, ha.most as a_most,
    hb.joins as b_joins, hb.joined as b_joined, hb.most as b_most
  from link as l
  left join worst as ha on ha.identifier_id = l.a_id
  left join worst as hb on hb.identifier_id = l.b_id
  where (l.kept_out is not null or ha.identifier_id is not null or hb.identifier_id is not null)
    and l.last_seen <= @before
    and (@reason = '' or coalesce(l.kept_out, 'hub') = @reason)
),
placed as (
  select
    *,
    concat(cast(a_id as string), '|', cast(b_id as string), '|', source, '|', consent, '|', reason)
      as place
  from kept
)
select
  cast(a_id as string) as a_id, a_type, a_value, cast(b_id as string) as b_id, b_type, b_value,
  source, consent, reason, seen, first_seen, last_seen,
  a_joins, a_joined, a_most, b_joins, b_joined, b_most, place
from placed
where last_seen < @before or place > @after
order by last_seen desc, place
limit @most
