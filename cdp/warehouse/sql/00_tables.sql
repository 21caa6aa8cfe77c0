-- Every table that outlives a run; the others are made anew by the statement that fills them.
-- times:  TIMESTAMP in UTC; event_date is the property's own day
-- types:  an identifier's type is user_id, email, phone or client_id
-- states: granted, denied or unknown; unknown is never granted unless the policy says so

-- grain: one row per event that Google logged, without its duplicates. Where analytics was denied,
-- client and user are null: the row counts, and stands for nobody.
create table if not exists events (
  event_date date,
  event_at timestamp,
  event_name string,
  client_key string,          -- property/stream/client id
  client_id string,           -- GA4's user_pseudo_id
  stream_id string,
  user_id string,
  session_id int64,           -- unique only with its client
  engaged bool,
  engagement_ms int64,
  analytics string,
  ads string,
  source string,
  medium string,
  campaign string,
  gclid string,
  first_source string,        -- of the client's first visit
  first_medium string,
  country string,
  device string,
  page_location string,
  page_title string,
  transaction_id string,
  revenue float64             -- in the property's currency
)
partition by event_date
cluster by client_key;

-- grain: one row per day, client, session (null: outside any) and analytics state
create table if not exists session_day (
  event_date date,
  client_key string,
  client_id string,
  session_id int64,
  analytics string,
  first_at timestamp,
  last_at timestamp,
  events int64,
  engaged bool,
  engagement_ms int64,
  leads int64,
  origin string,              -- 'source|medium' that the session started with; null: none told
  first_origin string,        -- likewise, of the client's first visit
  ads_campaign string,        -- campaign and click id only where ads storage was granted
  ads_gclid string,
  country string,
  device string
)
partition by event_date
cluster by client_key;

-- grain: one row per purchase event; a repeated transaction_id is the same purchase told again
create table if not exists purchase (
  event_date date,
  client_key string,
  analytics string,
  event_at timestamp,
  transaction_id string,
  revenue float64
)
partition by event_date
cluster by client_key;

-- grain: one row per day, client, user id and analytics state in which both were seen together
create table if not exists link_day (
  event_date date,
  client_key string,
  user_id string,
  consent string,
  first_at timestamp,
  last_at timestamp,
  seen int64
)
partition by event_date
cluster by client_key;

-- grain: one row per day, identifier, purpose and state told by the export itself
create table if not exists consent_signal (
  event_date date,
  type string,
  value string,               -- client key for client_id
  purpose string,
  state string,
  first_at timestamp,
  last_at timestamp
)
partition by event_date
cluster by type, value;

-- grain: one row per day that was cleaned, with the table it was cleaned from
create table if not exists cleaned_day (
  event_date date,
  suffix string,
  version string,
  state string,               -- provisional or final
  rows_read int64,
  seq int64
);

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
cluster by file
