-- Record that a run was delivered in full, and from what; run again, it adds nothing.
-- grain:   one row per run
-- params:  @seq INT64, @run_id, @fingerprint, @store_id STRING, @now TIMESTAMP
insert into settled_run (seq, run_id, settled_at, fingerprint, store_id)
select of_run, @run_id, @now, @fingerprint, @store_id
from unnest([@seq]) as of_run
where of_run not in (select told.seq from settled_run as told)
