-- Every identifier of this run, with what stands for it where it may not stand itself.
-- grain:   one row per identifier, as it is joined
-- inputs:  client, pair, tombstone
-- params:  @key STRING, secret: without it nobody can tell whose a keyed value is
create or replace table keyed
cluster by keyed
as
with every as (
  select 'client_id' as type, client_key as value from client
  union distinct
  select a_type, a_value from pair
  union distinct
  select b_type, b_value from pair
),
told as (
  select
    type, value,
    to_hex(sha256(concat(@key, to_hex(sha256(concat(@key, type, '|', value)))))) as keyed
  from every
)
-- Who was erased gets no number, and so no link, no profile.
select e.type, e.value, e.keyed
from told as e
left join (select distinct keyed from tombstone) as t on t.keyed = e.keyed
where t.keyed is null
