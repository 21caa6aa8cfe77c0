-- The days that were cleaned, the newest first.
-- grain:   one row per day
-- inputs:  cleaned_day
-- params:  @most INT64
select event_date, suffix, version, state, rows_read
from cleaned_day
order by event_date desc
limit @most
