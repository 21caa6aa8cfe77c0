-- The state of each address and number, for purposes of scope value; and the one of every profile
-- and purpose that is in force.
-- grain:   value_consent: one row per profile, address or number, and purpose of scope value;
--          profile_consent: one row per profile and purpose of which anything is known
-- inputs:  identity, identifier, word, person_consent
-- params:  @purpose_rules: see 17_word; @unknown_granted ARRAY<STRING>: where silence permits
-- rule:    granted where it does not deny itself, and the newest word about it is Yes. The profile
--          says the best that one of its addresses has: what permits before what does not.
create or replace table value_consent
cluster by profile_id
as
with scoped as (
  select split(r, '|')[safe_offset(0)] as purpose
  from unnest(@purpose_rules) as r
  where split(r, '|')[safe_offset(1)] = 'value'
)
select
  p.profile_id, i.identifier_id, i.type, s.purpose,
  case when own.state = 'denied' then 'denied' else coalesce(w.state, 'unknown') end as state,
  case
    when own.state = 'denied' then least(own.since, if(w.state = 'denied', w.since, own.since))
    else w.since end as since,
  if(own.state = 'denied', own.source, w.source) as source
from identity as p
join identifier as i on i.identifier_id = p.identifier_id
cross join scoped as s
left join word as own on own.subject = concat(i.type, '|', i.value) and own.purpose = s.purpose
left join word as w
  on w.subject = concat('value|', p.profile_id, '|', cast(i.identifier_id as string))
    and w.purpose = s.purpose
where p.present and i.type in ('email', 'phone');

create or replace table profile_consent
cluster by profile_id
as
with best as (
  select profile_id, purpose, state, source, since
  from value_consent
  where true
  qualify row_number() over (
    partition by profile_id, purpose
    order by
      case
        when state = 'granted' then 0
        when state = 'unknown' and purpose in unnest(@unknown_granted) then 1
        when state = 'denied' then 2
        else 3 end,
      if(since is null, 1, 0), since, source
  ) = 1
),
addressed as (
  select distinct profile_id from value_consent
)
select profile_id, purpose, state, source, since from person_consent
union all
select profile_id, purpose, state, source, since from best where source is not null
union all
select n.profile_id, w.purpose, w.state, w.source, w.since
from (select distinct profile_id from identity where present) as n
join word as w on w.subject = concat('person|', n.profile_id)
left join addressed as a on a.profile_id = n.profile_id
where a.profile_id is null
