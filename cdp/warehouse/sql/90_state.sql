-- Where the warehouse stands, for planning.
-- grain:   one row
-- params:  @store_run STRING: the run that settled last, as the document store has it; @now TIMESTAMP
-- output:  of the run that settled last, null before: fingerprint, store_id, run_id;
--          decision STRING: the last of the console's that is in the warehouse, null: none;
--          due BOOL: since then a grant has lapsed, or has begun;
--          live INT64: profiles that the store should have, live_settled of them confirmed
with last_run as (
  select fingerprint, store_id, run_id, seq, lapses_at
  from settled_run
  where true
  qualify row_number() over (order by seq desc) = 1
)
select
  (select coalesce(max(seq), 0) from last_run) as seq,
  (select max(fingerprint) from last_run) as fingerprint,
  (select max(store_id) from last_run) as store_id,
  (select max(run_id) from last_run) as run_id,
  (select count(*) > 0 from settled_run where run_id = @store_run) as store_run_known,
  (select max(decision_id) from desk_decision) as decision,
  (select logical_or(lapses_at <= @now) from last_run) as due,
  (select count(*) from published where not settled) as unsettled,
  (select count(*) from published where state = 'live') as live,
  (select count(*) from published where state = 'live' and settled) as live_settled
