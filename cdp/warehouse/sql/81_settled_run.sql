-- Record that a run was delivered in full, and from what.
-- grain:   one row per run
-- params:  @seq INT64, @run_id, @fingerprint, @store_id STRING, @now TIMESTAMP
insert into settled_run (seq, run_id, settled_at, fingerprint, store_id)
values (@seq, @run_id, @now, @fingerprint, @store_id)
