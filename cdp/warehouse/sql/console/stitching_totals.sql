-- How much there is of everything that stitching made, and of what it kept out.
-- grain:   one row per what and name: identifiers by type, edges by source, links kept out by
--          reason, hubs by 'type.joins'; a total has no name
-- inputs:  identifier, edge, name, hub, closed, link
-- params:  @most INT64: names of one kind, those with the most rows
-- output:  counted INT64, seen INT64: observations, null where none are counted
-- An edge that two sources saw counts for both. A pair with a hub is a link kept out, too.
with shared as (
  select distinct identifier_id from hub
),
observed as (
  select
    l.a_id, l.b_id, l.source, l.seen,
    case
      when l.kept_out is not null then l.kept_out
      when ha.identifier_id is not null or hb.identifier_id is not null then 'hub'
      when ca.identifier_id is not null or cb.identifier_id is not null then 'denies to be joined' end as reason
  from link as l
  left join shared as ha on ha.identifier_id = l.a_id
  left join shared as hb on hb.identifier_id = l.b_id
  left join closed as ca on ca.identifier_id = l.a_id
  left join closed as cb on cb.identifier_id = l.b_id
),
edge_source as (
  select a_id, b_id, source, sum(seen) as seen
  from observed
  where reason is null
  group by a_id, b_id, source
),
counts as (
  select 'identifiers' as what, type as name, count(*) as counted, cast(null as int64) as seen
  from identifier
  group by type
  union all
  select 'edges', source, count(*), sum(seen) from edge_source group by source
  union all
  select 'kept_out', reason, count(*), sum(seen) from observed where reason is not null group by reason
  union all
  select 'hubs', concat(type, '.', joins), count(*), cast(null as int64) from hub group by type, joins
  union all
  select 'identifiers', cast(null as string), count(*), cast(null as int64) from identifier
  union all
  select 'edges', cast(null as string), count(*), sum(seen) from edge
  union all
  select 'clusters', cast(null as string), count(*), cast(null as int64) from name
  union all
  select 'hubs', cast(null as string), count(*), cast(null as int64) from shared
  union all
  select 'kept_out', cast(null as string), count(*), sum(seen) from observed where reason is not null
)
select what, name, counted, seen
from counts
where true
qualify name is null or row_number() over (partition by what order by counted desc, name) <= @most
order by what, counted desc, name
