-- What outlives a run and cannot be made again: names of profiles, what was delivered, what was loaded.
-- times:  TIMESTAMP in UTC
-- types:  an identifier's type is user_id, email, phone or client_id
-- states: granted, denied or unknown

-- grain: one row per migration that was applied
create table if not exists migration (name string);

-- grain: one row per identifier ever stitched; profile_id is the one it is in, or was in last
create table if not exists identity (
  identifier_id int64,
  profile_id string,
  present bool
)
cluster by identifier_id;

-- grain: one row per profile that ended in, or gave identifiers to, another in a run
create table if not exists identity_history (
  seq int64,
  run_id string,
  happened_at timestamp,
  kind string,                -- merge: from_id is to_id from now on; split: to_id was part of from_id
  from_id string,
  to_id string
);

-- grain: one row per profile that was ever exported; settled: the document store has confirmed it
create table if not exists published (
  profile_id string,
  payload_hash string,
  state string,               -- live, merged or gone
  seq int64,
  settled bool
)
cluster by profile_id;

-- grain: one row per run that was delivered in full
create table if not exists settled_run (
  seq int64,
  run_id string,
  settled_at timestamp,
  fingerprint string,         -- of all input and of the policy
  store_id string             -- the document store it was delivered to
);

-- grain: one row per loaded observation of two identifiers together
create table if not exists raw_link (
  a_type string,
  a_value string,
  b_type string,
  b_value string,
  seen_at timestamp,
  source string,
  consent string,
  file string                 -- names the content of the file that the row came in
)
cluster by file;

-- grain: one row per loaded decision
create table if not exists raw_decision (
  type string,
  value string,
  purpose string,
  state string,
  decided_at timestamp,
  source string,
  file string                 -- names the content of the file that the row came in
)
cluster by file;

insert into migration (name) values ('0001_begin')
