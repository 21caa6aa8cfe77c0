-- What the document store says that it has, empty at the start.
-- grain:   stored: one row per live profile, or several: a page may be told twice
create or replace table stored (profile_id string)
