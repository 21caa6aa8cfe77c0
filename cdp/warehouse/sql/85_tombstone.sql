-- Keep the tombstones that the document store has and the warehouse has not.
-- grain:   that of tombstone
-- params:  @tombstones ARRAY<STRING> of 'keyed|erasure'
insert into tombstone (keyed, erasure)
with told as (
  select distinct
    split(t, '|')[safe_offset(0)] as keyed, split(t, '|')[safe_offset(1)] as erasure
  from unnest(@tombstones) as t
)
select d.keyed, d.erasure
from told as d
left join tombstone as t on t.keyed = d.keyed and t.erasure = d.erasure
where t.keyed is null
