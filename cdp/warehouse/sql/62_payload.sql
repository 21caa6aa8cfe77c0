-- The fields that each profile's consent permits; what is not permitted is null.
-- grain:   one row per profile
-- inputs:  permit, behaviour, profile_identifier
-- params:  @may_<field> STRING: '|purpose|' that permits the field, by the policy
-- output:  payload_hash STRING over all permitted fields and the consent itself;
--          has_fields BOOL: something besides consent and a number of identifiers is left
create or replace table payload
cluster by profile_id
as
with permitted as (
  select
    p.profile_id,
    p.consent,
    struct(
      if(strpos(p.granted, @may_identifiers_user_id) > 0, i.user_id, null) as user_id,
      if(strpos(p.granted, @may_identifiers_email) > 0, i.email, null) as email,
      if(strpos(p.granted, @may_identifiers_phone) > 0, i.phone, null) as phone,
      if(strpos(p.granted, @may_identifiers_client_id) > 0, i.client_id, null) as client_id,
      if(strpos(p.granted, @may_identifiers_count) > 0, i.identifiers, null) as `count`
    ) as identifiers,
    struct(
      if(strpos(p.granted, @may_contact_email) > 0, i.last_email, null) as email,
      if(
        strpos(p.granted, @may_contact_email_valid) > 0,
        -- Source: RFC 5321 4.5.3.1 for the lengths; the shape is what providers accept. That of an
        -- international one the normaliser has checked.
        (
          regexp_contains(
            i.last_email, r"^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$"
          ) or regexp_contains(i.last_email, r'[^ -~]')
        ) and length(i.last_email) <= 254,
        null
      ) as email_valid,
      if(strpos(p.granted, @may_contact_phone) > 0, i.last_phone, null) as phone
    ) as contact,
    struct(
      if(strpos(p.granted, @may_ga4_first_seen) > 0, b.first_seen, null) as first_seen,
      if(strpos(p.granted, @may_ga4_last_seen) > 0, b.last_seen, null) as last_seen,
      if(strpos(p.granted, @may_ga4_events) > 0, b.events, null) as events,
      if(strpos(p.granted, @may_ga4_sessions) > 0, b.sessions, null) as sessions,
      if(strpos(p.granted, @may_ga4_engaged_sessions) > 0, b.engaged_sessions, null)
        as engaged_sessions,
      if(strpos(p.granted, @may_ga4_engagement_ms) > 0, b.engagement_ms, null) as engagement_ms,
      if(strpos(p.granted, @may_ga4_leads) > 0, b.leads, null) as leads,
      if(strpos(p.granted, @may_ga4_purchases) > 0, b.purchases, null) as purchases,
      if(strpos(p.granted, @may_ga4_revenue) > 0, round(b.revenue, 6), null) as revenue,
      if(strpos(p.granted, @may_ga4_last_client_id) > 0, b.last_client_id, null) as last_client_id,
      if(strpos(p.granted, @may_ga4_last_source) > 0, b.last_source, null) as last_source,
      if(strpos(p.granted, @may_ga4_last_medium) > 0, b.last_medium, null) as last_medium,
      if(strpos(p.granted, @may_ga4_country) > 0, b.country, null) as country,
      if(strpos(p.granted, @may_ga4_device) > 0, b.device, null) as device
    ) as ga4,
    struct(
      if(strpos(p.granted, @may_ads_last_campaign) > 0, b.ads_campaign, null) as last_campaign,
      if(strpos(p.granted, @may_ads_last_gclid) > 0, b.ads_gclid, null) as last_gclid
    ) as ads
  from permit as p
  left join behaviour as b on b.profile_id = p.profile_id
  left join profile_identifier as i on i.profile_id = p.profile_id
)
select
  profile_id, consent, identifiers, contact, ga4, ads,
  to_hex(md5(concat(
    to_json_string(consent), to_json_string(identifiers), to_json_string(contact),
    to_json_string(ga4), to_json_string(ads)
  ))) as payload_hash,
  -- Not `identifiers.user_id is not null`: BigQuery stores a null array as an empty one.
  identifiers.user_id[safe_offset(0)] is not null or identifiers.email[safe_offset(0)] is not null
    or identifiers.phone[safe_offset(0)] is not null
    or identifiers.client_id[safe_offset(0)] is not null
    or contact.email is not null or contact.phone is not null
    or ga4.first_seen is not null or ga4.last_seen is not null or ga4.sessions is not null
    or ads.last_campaign is not null or ads.last_gclid is not null as has_fields
from permitted
