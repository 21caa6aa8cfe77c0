-- Some of the live profiles that the document store has.
-- grain:   that of stored
-- params:  @ids ARRAY<STRING>
insert into stored (profile_id)
select id from unnest(@ids) as id
