-- Which migrations were applied.
-- grain:   one row per migration
select distinct name from migration order by name
