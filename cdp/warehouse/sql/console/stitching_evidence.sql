-- What speaks for the edges between identifiers of one profile.
-- grain:   one row per edge
-- inputs:  link: of two identifiers of one cluster neither is a hub, so that each link between them
--          that nothing keeps out is of an edge
-- params:  @ids ARRAY<INT64>: the identifiers; @most INT64
-- output:  evidence ARRAY<STRUCT<source, consent, seen, first_seen, last_seen>>, the earliest first
with chosen as (
  select distinct id from unnest(@ids) as id
)
select
  cast(l.a_id as string) as a, cast(l.b_id as string) as b,
  array_agg(
    struct(l.source, l.consent, l.seen, l.first_seen, l.last_seen)
    order by l.first_seen, l.source, l.consent
  ) as evidence
from chosen as a
join link as l on l.a_id = a.id
join chosen as b on b.id = l.b_id
where l.kept_out is null
group by l.a_id, l.b_id
order by max(l.last_seen) desc, l.a_id, l.b_id
limit @most
