-- Merges and splits of a profile in [@since_at, @until_at), the newest first.
-- grain:   one row per run and other profile
-- inputs:  identity_history
-- params:  @profile_id STRING, @since_at, @until_at TIMESTAMP, @most INT64
-- output:  direction STRING: 'in' where identifiers came from the other profile, else 'out'
select
  kind,
  if(to_id = @profile_id, from_id, to_id) as other_id,
  if(to_id = @profile_id, 'in', 'out') as direction,
  happened_at
from identity_history
where (from_id = @profile_id or to_id = @profile_id)
  and happened_at >= @since_at and happened_at < @until_at
order by happened_at desc, seq desc, kind, from_id, to_id
limit @most
