-- How many rows each table holds of who is to be erased.
-- grain:   one row per table
-- inputs:  what 88_erase and 88_erase_run delete from
-- params:  @subjects, @clients, @users, @profiles ARRAY<STRING>, @ids ARRAY<INT64>: see 88_erase
select 'behaviour' as table_name, count(*) as held from behaviour where profile_id in unnest(@profiles)
union all
select 'beside' as table_name, count(*) as held from beside
where identifier_id in unnest(@ids) or other_id in unnest(@ids)
union all
select 'bound' as table_name, count(*) as held from bound
where identifier_id in unnest(@ids) or other_id in unnest(@ids)
union all
select 'client' as table_name, count(*) as held from client where client_key in unnest(@clients)
union all
select 'closed' as table_name, count(*) as held from closed where identifier_id in unnest(@ids)
union all
select 'cluster' as table_name, count(*) as held from cluster where identifier_id in unnest(@ids)
union all
select 'consent_signal' as table_name, count(*) as held from consent_signal
where concat(type, '|', value) in unnest(@subjects)
union all
select 'consent_statement' as table_name, count(*) as held from consent_statement
where concat(type, '|', value) in unnest(@subjects)
union all
select 'desk_decision' as table_name, count(*) as held from desk_decision
where concat(type, '|', value) in unnest(@subjects)
union all
select 'edge' as table_name, count(*) as held from edge where a_id in unnest(@ids) or b_id in unnest(@ids)
union all
select 'events' as table_name, count(*) as held from events
where client_key in unnest(@clients) or user_id in unnest(@users)
union all
select 'export_row' as table_name, count(*) as held from export_row where profile_id in unnest(@profiles)
union all
select 'heard' as table_name, count(*) as held from heard
where profile_id in unnest(@profiles) or identifier_id in unnest(@ids)
union all
select 'hub' as table_name, count(*) as held from hub where identifier_id in unnest(@ids)
union all
select 'identifier' as table_name, count(*) as held from identifier where identifier_id in unnest(@ids)
union all
select 'identifier_key' as table_name, count(*) as held from identifier_key
where identifier_id in unnest(@ids)
union all
select 'identifier_permit' as table_name, count(*) as held from identifier_permit
where identifier_id in unnest(@ids)
union all
select 'identity' as table_name, count(*) as held from identity
where identifier_id in unnest(@ids) or profile_id in unnest(@profiles)
union all
select 'identity_history' as table_name, count(*) as held from identity_history
where from_id in unnest(@profiles) or to_id in unnest(@profiles)
union all
select 'keyed' as table_name, count(*) as held from keyed
where concat(type, '|', value) in unnest(@subjects)
union all
select 'known' as table_name, count(*) as held from known
where concat(type, '|', value) in unnest(@subjects)
union all
select 'link' as table_name, count(*) as held from link where a_id in unnest(@ids) or b_id in unnest(@ids)
union all
select 'link_day' as table_name, count(*) as held from link_day
where client_key in unnest(@clients) or user_id in unnest(@users)
union all
select 'name' as table_name, count(*) as held from name where profile_id in unnest(@profiles)
union all
select 'pair' as table_name, count(*) as held from pair
where concat(a_type, '|', a_value) in unnest(@subjects)
  or concat(b_type, '|', b_value) in unnest(@subjects)
union all
select 'payload' as table_name, count(*) as held from payload where profile_id in unnest(@profiles)
union all
select 'permit' as table_name, count(*) as held from permit where profile_id in unnest(@profiles)
union all
select 'person_consent' as table_name, count(*) as held from person_consent
where profile_id in unnest(@profiles)
union all
select 'profile_consent' as table_name, count(*) as held from profile_consent
where profile_id in unnest(@profiles)
union all
select 'profile_identifier' as table_name, count(*) as held from profile_identifier
where profile_id in unnest(@profiles)
union all
select 'published' as table_name, count(*) as held from published where profile_id in unnest(@profiles)
union all
select 'purchase' as table_name, count(*) as held from purchase where client_key in unnest(@clients)
union all
select 'said' as table_name, count(*) as held from said where subject in unnest(@subjects)
union all
select 'session_day' as table_name, count(*) as held from session_day where client_key in unnest(@clients)
union all
select 'spelling' as table_name, count(*) as held from spelling
where concat(type, '|', value) in unnest(@subjects)
union all
select 'statement' as table_name, count(*) as held from statement
where concat(type, '|', value) in unnest(@subjects)
union all
select 'value_consent' as table_name, count(*) as held from value_consent
where profile_id in unnest(@profiles)
union all
select 'word' as table_name, count(*) as held from word where subject in unnest(@subjects)
