-- Days that were cleaned, with the table they were cleaned from.
-- grain:   one row per day
select event_date, suffix, version, state, rows_read from cleaned_day order by event_date
