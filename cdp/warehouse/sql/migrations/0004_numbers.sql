-- Numbers of identifiers were hashes, which who knows an address can make: see 23_number.

-- grain: that of identity
begin transaction;

update identity set identifier_id = -1 - identifier_id where identifier_id >= 0;

insert into migration (name) values ('0004_numbers');

commit transaction
