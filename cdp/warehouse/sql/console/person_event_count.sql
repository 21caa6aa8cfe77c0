-- How many events a profile's clients have in [@since, @until), by day and name.
-- grain:   one row per day and event name, the newest day first
-- inputs:  events
-- params:  @client_keys, @opened_keys ARRAY<STRING>, @first_key, @last_key STRING: the least and
--          the greatest client key, by which engines pass over most blocks;
--          @since, @until DATE, @most INT64
-- output:  total INT64: of the whole window, the same in every row, whatever the limit cuts
select event_date, event_name, count(*) as events, sum(count(*)) over () as total
from events
where event_date >= @since and event_date < @until
  and client_key >= @first_key and client_key <= @last_key
  and client_key in unnest(@client_keys)
  and (analytics = 'granted' or analytics = 'unknown' and client_key in unnest(@opened_keys))
group by event_date, event_name
order by event_date desc, event_name
limit @most
