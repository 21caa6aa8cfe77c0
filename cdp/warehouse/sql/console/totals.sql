-- How much there is of everything that stitching made.
-- grain:   one row
-- inputs:  identifier, edge, name, hub, link
select
  (select count(*) from identifier) as identifiers,
  (select count(*) from edge) as edges,
  (select count(*) from name) as clusters,
  (select count(distinct identifier_id) from hub) as hubs,
  (select count(*) from link where kept_out is not null) as kept_out
