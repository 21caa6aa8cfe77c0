-- Delete loaded links and decisions of who is erased, where they are tables.
-- grain:   that of raw_link and raw_decision
-- params:  @told ARRAY<STRING> of 'type|value', as they were loaded
begin transaction;

delete from raw_link
where concat(a_type, '|', a_value) in unnest(@told) or concat(b_type, '|', b_value) in unnest(@told);

delete from raw_decision where concat(type, '|', value) in unnest(@told);

commit transaction
