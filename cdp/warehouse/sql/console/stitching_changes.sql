-- The merges and splits of one run.
-- grain:   that of identity_history, merges first
-- inputs:  identity_history
-- params:  @seq INT64: the run's, or 0 for the newest that had some; @most INT64
with newest as (
  select max(seq) as seq from identity_history
)
select h.kind, h.from_id, h.to_id, h.happened_at, h.run_id, h.seq
from identity_history as h
join newest as n on h.seq = if(@seq = 0, n.seq, @seq)
order by h.kind, h.from_id, h.to_id
limit @most
