-- Profiles by the day since which their state is in force: grants and withdrawals.
-- grain:   one row per day (UTC), purpose and state
-- inputs:  profile_consent
-- params:  @purposes ARRAY<STRING>, @since, @until DATE, both inclusive
select date(since) as day, purpose, state, count(*) as profiles
from profile_consent
where purpose in unnest(@purposes) and state in ('granted', 'denied')
  and date(since) >= @since and date(since) <= @until
group by 1, 2, 3
order by 1, 2, 3
