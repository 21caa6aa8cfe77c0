-- In which state profiles are, by the source that decided it. Of all other profiles nothing is
-- known: their state is unknown.
-- grain:   one row per purpose, state and source; place: sources of a purpose, the greatest first,
--          those beyond @most_sources together in a row whose source is null
-- inputs:  profile_consent
-- params:  @purposes ARRAY<STRING>, @most_sources INT64
with known as (
  select purpose, state, source, count(*) as profiles
  from profile_consent
  where purpose in unnest(@purposes) and state in ('granted', 'denied')
  group by purpose, state, source
),
sized as (
  select purpose, source, sum(profiles) as profiles from known group by purpose, source
),
placed as (
  select
    purpose, source,
    row_number() over (partition by purpose order by profiles desc, source) as place
  from sized
)
select
  k.purpose, k.state,
  if(p.place <= @most_sources, k.source, null) as source,
  sum(k.profiles) as profiles
from known as k
join placed as p on p.purpose = k.purpose and p.source = k.source
group by 1, 2, 3
order by 1, 2, 3
