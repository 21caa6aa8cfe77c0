-- One shard of the export, in the shape of the ingest contract.
-- grain:   one row per profile whose bucket is in [@from_bucket, @to_bucket)
-- inputs:  export_row
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
    e.state = 'live', struct(e.consent, e.identifiers, e.contact, e.ga4, e.ads), null
  ) as `set`,
  if(e.state = 'live', array_concat(
    if(e.identifiers.user_id[safe_offset(0)] is null, ['identifiers.user_id'], []),
    if(e.identifiers.email[safe_offset(0)] is null, ['identifiers.email'], []),
    if(e.identifiers.phone[safe_offset(0)] is null, ['identifiers.phone'], []),
    if(e.identifiers.client_id[safe_offset(0)] is null, ['identifiers.client_id'], []),
    if(e.identifiers.`count` is null, ['identifiers.count'], []),
    if(e.contact.email is null, ['contact.email'], []),
    if(e.contact.email_valid is null, ['contact.email_valid'], []),
    if(e.contact.phone is null, ['contact.phone'], []),
    if(e.ga4.first_seen is null, ['ga4.first_seen'], []),
    if(e.ga4.last_seen is null, ['ga4.last_seen'], []),
    if(e.ga4.events is null, ['ga4.events'], []),
    if(e.ga4.sessions is null, ['ga4.sessions'], []),
    if(e.ga4.engaged_sessions is null, ['ga4.engaged_sessions'], []),
    if(e.ga4.engagement_ms is null, ['ga4.engagement_ms'], []),
    if(e.ga4.leads is null, ['ga4.leads'], []),
    if(e.ga4.purchases is null, ['ga4.purchases'], []),
    if(e.ga4.revenue is null, ['ga4.revenue'], []),
    if(e.ga4.last_client_id is null, ['ga4.last_client_id'], []),
    if(e.ga4.last_source is null, ['ga4.last_source'], []),
    if(e.ga4.last_medium is null, ['ga4.last_medium'], []),
    if(e.ga4.country is null, ['ga4.country'], []),
    if(e.ga4.device is null, ['ga4.device'], []),
    if(e.ads.last_campaign is null, ['ads.last_campaign'], []),
    if(e.ads.last_gclid is null, ['ads.last_gclid'], [])
  ), null) as `unset`
from export_row as e
where e.bucket >= @from_bucket and e.bucket < @to_bucket
