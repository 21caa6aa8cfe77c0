-- Give every identifier a number of its own that means nothing: who reads it learns nothing, and two
-- identifiers never share one.
-- grain:   that of identifier_key
-- inputs:  keyed, identifier_key
-- Numbers are dealt by the 4096 first digits of the key, so that nobody has to see them all at once.
begin transaction;

insert into identifier_key (keyed, identifier_id)
with dealt as (
  select
    cast(concat('0x', substr(keyed, 1, 3)) as int64) as bucket, max(identifier_id) as last_id
  from identifier_key
  group by bucket
),
met as (
  select k.keyed, cast(concat('0x', substr(k.keyed, 1, 3)) as int64) as bucket
  from keyed as k
  left join identifier_key as i on i.keyed = k.keyed
  where i.keyed is null
)
select
  m.keyed,
  coalesce(d.last_id, m.bucket) + 4096 * row_number() over (partition by m.bucket order by m.keyed)
from met as m
left join dealt as d on d.bucket = m.bucket;

-- Names of a release whose numbers were hashes are negative until their identifier is met again.
update identity as t
set identifier_id = i.identifier_id
from keyed as k
join identifier_key as i on i.keyed = k.keyed
where t.identifier_id < 0
  and t.identifier_id
    = -1 - cast(concat('0x', substr(to_hex(sha256(concat(k.type, '|', k.value))), 1, 15)) as int64);

commit transaction
