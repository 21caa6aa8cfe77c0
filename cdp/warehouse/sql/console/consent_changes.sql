-- What was said of consent, by day: in the export and in loaded decisions.
-- grain:   one row per day, purpose, source and state
-- inputs:  consent_signal, raw_decision
-- params:  @purposes ARRAY<STRING>, @since, @until DATE, both inclusive,
--          @most_series INT64: pairs of purpose and source, the greatest; beyond, source is null
-- output:  identifiers INT64: those of which the state was told on that day
-- A day of the export is the property's own, that of a decision is UTC's.
with told as (
  select event_date as day, purpose, 'ga4' as source, state, concat(type, '|', value) as identifier
  from consent_signal
  where event_date >= @since and event_date <= @until and purpose in unnest(@purposes)
  union all
  select date(decided_at) as day, purpose, source, state, concat(type, '|', value) as identifier
  from raw_decision
  where date(decided_at) >= @since and date(decided_at) <= @until
    and purpose in unnest(@purposes)
),
counted as (
  select day, purpose, source, state, count(distinct identifier) as identifiers
  from told
  group by day, purpose, source, state
),
sized as (
  select purpose, source, sum(identifiers) as identifiers from counted group by purpose, source
),
placed as (
  select
    purpose, source, row_number() over (order by identifiers desc, purpose, source) as place
  from sized
)
select
  c.day, c.purpose,
  if(p.place <= @most_series, c.source, null) as source,
  c.state,
  sum(c.identifiers) as identifiers
from counted as c
join placed as p on p.purpose = c.purpose and p.source = c.source
group by 1, 2, 3, 4
order by 1, 2, 3, 4
