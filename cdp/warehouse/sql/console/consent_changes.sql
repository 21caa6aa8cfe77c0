-- What was said of consent, by day: in the export and in decisions.
-- grain:   one row per day (UTC), purpose, source and state
-- inputs:  statement
-- params:  @purposes ARRAY<STRING>, @since, @until DATE, both inclusive,
--          @most_series INT64: pairs of purpose and source, the greatest; beyond, source is null
-- output:  identifiers INT64: those of which the state was told on that day
with counted as (
  select
    date(said_at) as day, purpose, source, state,
    count(distinct concat(type, '|', value)) as identifiers
  from statement
  where date(said_at) >= @since and date(said_at) <= @until and purpose in unnest(@purposes)
  group by 1, purpose, source, state
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
