-- Events of a profile's clients in [@since, @until), the newest first.
-- grain:   one row per event
-- inputs:  events
-- params:  @client_keys, @opened_keys ARRAY<STRING>, @first_key, @last_key STRING: the least and
--          the greatest client key, by which engines pass over most blocks;
--          @since, @until DATE, @most INT64
-- units:   revenue in the property's currency; engagement_ms milliseconds
select
  event_at, event_name, client_id as client, source, medium,
  substr(page_location, 1, 300) as page_location,
  substr(page_title, 1, 300) as page_title,
  device, country, revenue, engagement_ms, session_id, transaction_id
from events
where event_date >= @since and event_date < @until
  and client_key >= @first_key and client_key <= @last_key
  and client_key in unnest(@client_keys)
  and (analytics = 'granted' or analytics = 'unknown' and client_key in unnest(@opened_keys))
order by event_at desc, event_name, client_id, page_location, transaction_id
limit @most
