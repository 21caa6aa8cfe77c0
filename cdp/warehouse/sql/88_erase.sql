-- Delete what outlives a run of who is erased.
-- grain:   that of each table
-- params:  @subjects ARRAY<STRING> of 'type|value', a client by its key and by its bare id;
--          @clients: their keys; @users: their user ids; @profiles ARRAY<STRING>;
--          @ids ARRAY<INT64>: the identifiers' numbers; @mentioned STRING: an expression for what
--          tells of them in others' texts
-- A day on which one of them signed in on another's device is cleaned again: that device stays. What
-- was published stands for other input now: the next run compares everything again.
begin transaction;

update cleaned_day
set version = ''
where event_date in (
  select event_date from link_day
  where user_id in unnest(@users) and client_key not in unnest(@clients)
);

update settled_run set fingerprint = '' where true;

delete from events where client_key in unnest(@clients) or user_id in unnest(@users);
update events
set
  source = regexp_replace(source, @mentioned, '(redacted)'),
  medium = regexp_replace(medium, @mentioned, '(redacted)'),
  campaign = regexp_replace(campaign, @mentioned, '(redacted)'),
  page_location = regexp_replace(page_location, @mentioned, '(redacted)'),
  page_title = regexp_replace(page_title, @mentioned, '(redacted)')
where regexp_contains(
  concat(
    coalesce(source, ''), ' ', coalesce(medium, ''), ' ', coalesce(campaign, ''), ' ',
    coalesce(page_location, ''), ' ', coalesce(page_title, '')
  ),
  @mentioned
);
delete from session_day where client_key in unnest(@clients);
delete from purchase where client_key in unnest(@clients);
delete from link_day where client_key in unnest(@clients) or user_id in unnest(@users);
delete from consent_signal where concat(type, '|', value) in unnest(@subjects);
delete from consent_statement where concat(type, '|', value) in unnest(@subjects);
delete from desk_decision where concat(type, '|', value) in unnest(@subjects);
delete from spelling where concat(type, '|', value) in unnest(@subjects);
delete from identity where identifier_id in unnest(@ids) or profile_id in unnest(@profiles);
delete from identity_history
where from_id in unnest(@profiles) or to_id in unnest(@profiles);
delete from identifier_key where identifier_id in unnest(@ids);
delete from published where profile_id in unnest(@profiles);

commit transaction
