-- What was erased, so that nothing brings it back.

-- grain: one row per identifier and erasure
create table if not exists tombstone (
  keyed string,               -- as in identifier_key: nobody can tell whose it was without the key
  erasure string              -- the document that tells of it
)
cluster by keyed;

insert into migration (name) values ('0005_tombstone')
