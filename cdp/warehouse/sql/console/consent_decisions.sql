-- What was decided, as loaded.
-- grain:   one row per source, purpose and state, the most frequent first
-- inputs:  raw_decision
-- params:  @purposes, @explicit_sources ARRAY<STRING>, @most INT64
-- output:  explicit BOOL: the source stands above signals; declared BOOL: the policy knows the
--          purpose, else the decisions are of no effect
select
  source, purpose, state,
  source in unnest(@explicit_sources) as explicit,
  purpose in unnest(@purposes) as declared,
  count(*) as decisions,
  min(decided_at) as first_at,
  max(decided_at) as last_at
from raw_decision
group by source, purpose, state
order by decisions desc, source, purpose, state
limit @most
