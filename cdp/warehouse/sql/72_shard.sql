-- One shard of the export, in the shape of the ingest contract.
-- grain:   one row per profile whose bucket is in [@from_bucket, @to_bucket)
-- inputs:  export_row, payload
-- params:  @from_bucket, @to_bucket, @seq INT64
-- output:  unset ARRAY<STRING>: owned fields that the profile does not have, or not any more
-- BigQuery stores a null array as an empty one: only an element tells that there is something.
select
  e.profile_id,
  @seq as seq,
  e.payload_hash as `hash`,
  e.confirm,
  e.merged_into,
  if(e.state = 'gone', true, null) as gone,
  if(
    e.state = 'live', struct(p.consent, p.identifiers, p.contact, p.ga4, p.ads), null
  ) as `set`,
  if(e.state = 'live', array_concat(
    if(p.identifiers.user_id[safe_offset(0)] is null, ['identifiers.user_id'], []),
    if(p.identifiers.email[safe_offset(0)] is null, ['identifiers.email'], []),
    if(p.identifiers.phone[safe_offset(0)] is null, ['identifiers.phone'], []),
    if(p.identifiers.client_id[safe_offset(0)] is null, ['identifiers.client_id'], []),
    if(p.identifiers.`count` is null, ['identifiers.count'], []),
    if(p.contact.email is null, ['contact.email'], []),
    if(p.contact.email_valid is null, ['contact.email_valid'], []),
    if(p.contact.phone is null, ['contact.phone'], []),
    if(p.ga4.first_seen is null, ['ga4.first_seen'], []),
    if(p.ga4.last_seen is null, ['ga4.last_seen'], []),
    if(p.ga4.events is null, ['ga4.events'], []),
    if(p.ga4.sessions is null, ['ga4.sessions'], []),
    if(p.ga4.engaged_sessions is null, ['ga4.engaged_sessions'], []),
    if(p.ga4.engagement_ms is null, ['ga4.engagement_ms'], []),
    if(p.ga4.leads is null, ['ga4.leads'], []),
    if(p.ga4.purchases is null, ['ga4.purchases'], []),
    if(p.ga4.revenue is null, ['ga4.revenue'], []),
    if(p.ga4.last_client_id is null, ['ga4.last_client_id'], []),
    if(p.ga4.last_source is null, ['ga4.last_source'], []),
    if(p.ga4.last_medium is null, ['ga4.last_medium'], []),
    if(p.ga4.country is null, ['ga4.country'], []),
    if(p.ga4.device is null, ['ga4.device'], []),
    if(p.ads.last_campaign is null, ['ads.last_campaign'], []),
    if(p.ads.last_gclid is null, ['ads.last_gclid'], [])
  ), null) as `unset`
from export_row as e
left join payload as p on p.profile_id = e.profile_id
where e.bucket >= @from_bucket and e.bucket < @to_bucket
