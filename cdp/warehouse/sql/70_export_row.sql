-- What the document store does not hold yet: changed profiles, and those that are no more.
-- grain:   one row per profile to write
-- inputs:  payload, published (what was delivered), identity_history
-- params:  @full BOOL: every profile, changed or not
-- output:  bucket INT64 0..9999, even over profiles: shards are ranges of it;
--          confirm BOOL: an earlier delivery of the profile was never confirmed;
--          with the payload of live ones, so that a shard reads nothing but its own rows
-- A profile whose last delivery was never confirmed counts as changed. One that lost every consent
-- keeps its document, emptied, so that its `consent` goes on saying no.
create or replace table export_row
partition by range_bucket(bucket, generate_array(0, 10000, 10))
as
with changed as (
  select p.profile_id, p.payload_hash, 'live' as state, cast(null as string) as merged_into,
    coalesce(not q.settled, false) as confirm
  from payload as p
  left join published as q on q.profile_id = p.profile_id
  where (p.has_fields or q.profile_id is not null)
    and (
      @full or q.profile_id is null or not q.settled or q.state <> 'live'
      or q.payload_hash <> p.payload_hash
    )
),
heir as (
  select from_id, to_id from identity_history
  where kind = 'merge'
  qualify row_number() over (partition by from_id order by seq desc) = 1
),
gone as (
  select
    q.profile_id,
    to_hex(md5(concat('gone|', coalesce(h.to_id, '')))) as payload_hash,
    if(h.to_id is null, 'gone', 'merged') as state,
    h.to_id as merged_into,
    not q.settled as confirm
  from published as q
  left join payload as p on p.profile_id = q.profile_id
  left join heir as h on h.from_id = q.profile_id
  where p.profile_id is null
    and (
      not q.settled
      or q.payload_hash <> to_hex(md5(concat('gone|', coalesce(h.to_id, ''))))
    )
),
every as (
  select profile_id, payload_hash, state, merged_into, confirm from changed
  union all
  select profile_id, payload_hash, state, merged_into, confirm from gone
)
select
  mod(cast(concat('0x', substr(to_hex(sha256(e.profile_id)), 1, 15)) as int64), 10000) as bucket,
  e.profile_id, e.payload_hash, e.state, e.merged_into, e.confirm,
  p.consent, p.identifiers, p.contact, p.ga4, p.ads
from every as e
left join payload as p on p.profile_id = e.profile_id
