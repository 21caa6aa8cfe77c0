-- Who says what of consent, as told and as joined; identifiers by numbers that mean nothing.
-- times:  TIMESTAMP in UTC

-- grain: one row per identifier as some source spells it. The one normaliser fills it; whatever it
-- spells otherwise now is spelled again.
create table if not exists spelling (
  type string,
  told string,
  source string,              -- in lower case; of phone numbers only, whose country it decides
  value string,               -- as joined
  problem string,             -- why it stands for nobody; null where it does not
  rules string                -- names the rules that it was spelled by
)
cluster by type, told;

-- grain: one row per identifier that ever was in the warehouse
create table if not exists identifier_key (
  keyed string,               -- HMAC-SHA-256 of type and value, hexadecimal
  identifier_id int64         -- means nothing, and is nobody else's
)
cluster by keyed;

-- grain: one row per decision that somebody at the console wrote down
create table if not exists desk_decision (
  decision_id string,
  type string,
  value string,               -- as joined; a client by its bare id
  purpose string,
  state string,
  decided_at timestamp,
  source string,
  told_by string,             -- the account
  notice string               -- the version of the notice that the person saw, where it was told
);

-- grain: one row per statement of consent, ever; only added to
create table if not exists consent_statement (
  statement_id string,        -- names the content of the row, but for what it was told with
  type string,
  value string,               -- as joined; client key for client_id
  purpose string,
  state string,
  said_at timestamp,
  source string,
  explicit bool,
  evidence string,            -- table and day, file and line, or the console's row
  told_at timestamp,          -- loaded, or first seen by a run
  told_by string,
  notice string,
  policy string,              -- digest of the policy in force when it was first seen
  seq int64
)
cluster by type, value;

insert into migration (name) values ('0002_consent')
