-- How many profiles have identifiers that disagree, and how that was resolved.
-- grain:   one row per purpose, state in force and whether an explicit decision is in force
-- inputs:  heard, profile_consent
-- params:  @explicit_sources, @purposes ARRAY<STRING>
-- rule:    what each identifier's statements amount to; they disagree where one grants and another
--          denies
with torn as (
  select profile_id, purpose
  from heard
  where purpose in unnest(@purposes)
  group by profile_id, purpose
  having countif(state = 'granted' and not bound) > 0 and countif(state = 'denied') > 0
)
select
  t.purpose, c.state,
  c.source in unnest(@explicit_sources) as explicit,
  count(*) as profiles
from torn as t
join profile_consent as c on c.profile_id = t.profile_id and c.purpose = t.purpose
group by 1, 2, 3
order by 1, 2, 3
