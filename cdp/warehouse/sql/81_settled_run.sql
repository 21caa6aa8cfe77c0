-- Record that a run was delivered in full, and from what; run again, it adds nothing.
-- grain:   one row per run
-- inputs:  word, statement: when time alone changes what is permitted
-- params:  @seq INT64, @run_id, @fingerprint, @store_id STRING, @now TIMESTAMP
insert into settled_run (seq, run_id, settled_at, fingerprint, store_id, lapses_at)
select
  of_run, @run_id, @now, @fingerprint, @store_id,
  (
    select min(change.at_time)
    from (
      select lapses_at as at_time from word
      union all
      select said_at from statement where state = 'granted' and said_at > @now
    ) as change
  )
from unnest([@seq]) as of_run
where of_run not in (select told.seq from settled_run as told)
