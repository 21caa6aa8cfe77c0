-- The tables that cleaning fills from the export, day by day. Where one stands otherwise than it is
-- written here, all of them are dropped, and every day is cleaned again; the tables that cannot be
-- made again are in `migrations/`.
-- times:  TIMESTAMP in UTC; event_date is the property's own day
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
  transient bool,             -- the client id is of one page only: it links nobody
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
  ads_campaign string,        -- campaign and click id only where the rows' ads state permits
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
  consent string,             -- of the row, for the purpose under which identifiers are joined
  first_at timestamp,
  last_at timestamp,
  seen int64
)
partition by event_date
cluster by client_key;

-- grain: one row per day, identifier, purpose and source, and each time that its answer changed
create table if not exists consent_signal (
  event_date date,
  type string,                -- client_id; user_id of rows without a client that deny
  value string,               -- client key for client_id
  client_id string,
  purpose string,
  state string,
  source string,              -- ga4, or gpc
  said_at timestamp
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
)
