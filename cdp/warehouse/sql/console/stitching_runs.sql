-- Merges and splits of the newest runs that had some.
-- grain:   one row per run, the newest first
-- inputs:  identity_history
-- params:  @most INT64
select
  seq, run_id,
  max(happened_at) as happened_at,
  countif(kind = 'merge') as merges,
  countif(kind = 'split') as splits
from identity_history
group by seq, run_id
order by seq desc
limit @most
