-- What each profile permits, for its payload.
-- grain:   one row per profile
-- inputs:  name, profile_consent
-- params:  @purposes ARRAY<STRING>, @unknown_granted ARRAY<STRING>: purposes where silence permits
-- output:  granted STRING '|analytics||ads|': the purposes that permit;
--          consent ARRAY<STRUCT<purpose, state, since, source>>, by purpose
create or replace table permit
cluster by profile_id
as
with stated as (
  select
    n.profile_id, p as purpose,
    coalesce(c.state, 'unknown') as state, c.since, c.source
  from name as n
  cross join unnest(@purposes) as p
  left join profile_consent as c on c.profile_id = n.profile_id and c.purpose = p
)
select
  profile_id,
  coalesce(
    string_agg(
      if(
        state = 'granted' or (state = 'unknown' and purpose in unnest(@unknown_granted)),
        concat('|', purpose, '|'), null
      ),
      '' order by purpose
    ),
    ''
  ) as granted,
  array_agg(struct(purpose, state, since, source) order by purpose) as consent
from stated
group by profile_id
