-- First and last day on which a profile's clients were seen, and their events.
-- grain:   one row; nulls where they have no permitted row in [@since, @until)
-- inputs:  session_day
-- params:  @client_keys, @opened_keys ARRAY<STRING>, @first_key, @last_key STRING: the least and
--          the greatest client key, by which engines pass over most blocks;
--          @since, @until DATE
select min(event_date) as first_day, max(event_date) as last_day, sum(events) as events
from session_day
where event_date >= @since and event_date < @until
  and client_key >= @first_key and client_key <= @last_key
  and client_key in unnest(@client_keys)
  and (analytics = 'granted' or analytics = 'unknown' and client_key in unnest(@opened_keys))
