-- What was decided, as loaded or written down at the console.
-- grain:   one row per source, purpose and state, the most frequent first
-- inputs:  raw_decision, desk_decision
-- params:  @purposes, @explicit_sources ARRAY<STRING>, @most INT64
-- output:  explicit BOOL: the source's No needs its Yes; declared BOOL: the policy knows the
--          purpose, else the decisions are of no effect
with told as (
  select lower(trim(source)) as source, purpose, state, decided_at from raw_decision
  union all
  select lower(trim(source)), purpose, state, decided_at from desk_decision
)
select
  source, purpose, state,
  source in unnest(@explicit_sources) as explicit,
  purpose in unnest(@purposes) as declared,
  count(*) as decisions,
  min(decided_at) as first_at,
  max(decided_at) as last_at
from told
group by source, purpose, state
order by decisions desc, source, purpose, state
limit @most
