-- What is to be weighed for purposes of scope value: of each address and number of a profile its own
-- statements and those of the person; and of the person alone, where there is no address.
-- grain:   said: one row per subject and statement
-- inputs:  identity, identifier, bound, heard, statement
-- params:  @purpose_rules: see 17_word
-- output:  subject STRING: 'value|profile|identifier', or 'person|profile'
-- rule:    of the person count each No of user ids and devices, and explicit decisions on user ids;
--          never what was said of another address.
create or replace table said
cluster by subject
as
with scoped as (
  select split(r, '|')[safe_offset(0)] as purpose
  from unnest(@purpose_rules) as r
  where split(r, '|')[safe_offset(1)] = 'value'
),
address as (
  select p.profile_id, i.identifier_id, i.type, i.value
  from identity as p
  join identifier as i on i.identifier_id = p.identifier_id
  where p.present and i.type in ('email', 'phone')
),
told as (
  select s.type, s.value, s.purpose, s.state, s.said_at, s.source, s.explicit
  from statement as s
  join scoped as c on c.purpose = s.purpose
),
person as (
  select distinct
    h.profile_id, t.type, t.value, t.purpose, t.state, t.said_at, t.source, t.explicit
  from heard as h
  join told as t on t.type = h.type and t.value = h.value and t.purpose = h.purpose
  where t.type in ('user_id', 'client_id')
    and (t.state = 'denied' or t.explicit and t.type = 'user_id' and not h.bound)
)
select
  concat('value|', a.profile_id, '|', cast(a.identifier_id as string)) as subject,
  t.purpose, t.state, t.said_at, t.source, t.explicit
from address as a
join told as t on t.type = a.type and t.value = a.value
union all
select
  concat('value|', a.profile_id, '|', cast(a.identifier_id as string)),
  p.purpose, p.state, p.said_at, p.source, p.explicit
from address as a
join person as p on p.profile_id = a.profile_id
union all
select
  concat('person|', profile_id), purpose, state, said_at, source, explicit
from person
