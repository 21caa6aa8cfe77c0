-- Delete what the last run derived of who is erased: pages read it until the next one.
-- grain:   that of each table
-- params:  see 88_erase
begin transaction;

delete from statement where concat(type, '|', value) in unnest(@subjects);
delete from said where subject in unnest(@subjects);
delete from word where subject in unnest(@subjects);
delete from client where client_key in unnest(@clients);
delete from pair
where concat(a_type, '|', a_value) in unnest(@subjects)
  or concat(b_type, '|', b_value) in unnest(@subjects);
delete from keyed where concat(type, '|', value) in unnest(@subjects);
delete from known where concat(type, '|', value) in unnest(@subjects);
delete from link where a_id in unnest(@ids) or b_id in unnest(@ids);
delete from identifier where identifier_id in unnest(@ids);
delete from hub where identifier_id in unnest(@ids);
delete from beside where identifier_id in unnest(@ids) or other_id in unnest(@ids);
delete from closed where identifier_id in unnest(@ids);
delete from bound where identifier_id in unnest(@ids) or other_id in unnest(@ids);
delete from edge where a_id in unnest(@ids) or b_id in unnest(@ids);
delete from cluster where identifier_id in unnest(@ids);
delete from name where profile_id in unnest(@profiles);
delete from heard where profile_id in unnest(@profiles) or identifier_id in unnest(@ids);
delete from person_consent where profile_id in unnest(@profiles);
delete from value_consent where profile_id in unnest(@profiles);
delete from profile_consent where profile_id in unnest(@profiles);
delete from permit where profile_id in unnest(@profiles);
delete from identifier_permit where identifier_id in unnest(@ids);
delete from behaviour where profile_id in unnest(@profiles);
delete from profile_identifier where profile_id in unnest(@profiles);
delete from payload where profile_id in unnest(@profiles);
delete from export_row where profile_id in unnest(@profiles);

commit transaction
