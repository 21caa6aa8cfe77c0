-- How loaded links and decisions spell identifiers.
-- grain:   one row per type and text
-- params:  @subjects ARRAY<STRING> of 'type|value'
select distinct type, told from spelling
where concat(type, '|', value) in unnest(@subjects)
