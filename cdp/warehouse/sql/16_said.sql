-- What is to be weighed first: statements by identifier.
-- grain:   said: that of statement; word: none yet
-- inputs:  statement
create or replace table said
cluster by subject
as
select
  concat(type, '|', value) as subject, purpose, state, said_at, source, explicit
from statement;

create or replace table word (
  subject string,             -- 'type|value' of an identifier, 'value|…' or 'person|…': see 51_said
  purpose string,
  state string,               -- unknown: the grant has lapsed
  since timestamp,            -- of the state in force
  source string,              -- of its newest explicit statement, else of its newest
  explicit bool,
  said_at timestamp,          -- when that was
  denied_at timestamp,        -- the newest denial, whatever came after
  yes_at timestamp,           -- the newest explicit grant of the state in force, while it stands
  asked_at timestamp,         -- the newest explicit grant, whatever came after
  lapses_at timestamp         -- of a grant that will
)
cluster by subject
