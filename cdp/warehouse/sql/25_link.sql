-- Pairs by number, the smaller first.
-- grain:   one row per pair, source, consent and reason
-- inputs:  pair, known
create or replace table link
cluster by a_id
as
with numbered as (
  select
    p.a_type, p.a_value, a.identifier_id as a, p.b_type, p.b_value, b.identifier_id as b,
    p.source, p.consent, p.kept_out, p.first_seen, p.last_seen, p.seen
  from pair as p
  join known as a on a.type = p.a_type and a.value = p.a_value
  join known as b on b.type = p.b_type and b.value = p.b_value
  where a.identifier_id <> b.identifier_id
)
select
  least(a, b) as a_id,
  if(a < b, a_type, b_type) as a_type,
  if(a < b, a_value, b_value) as a_value,
  greatest(a, b) as b_id,
  if(a < b, b_type, a_type) as b_type,
  if(a < b, b_value, a_value) as b_value,
  source, consent, kept_out,
  min(first_seen) as first_seen,
  max(last_seen) as last_seen,
  sum(seen) as seen
from numbered
group by 1, 2, 3, 4, 5, 6, source, consent, kept_out
