-- All that was ever said of one person's consent, the newest first.
-- grain:   one row per statement
-- inputs:  statement, heard, client, profile_consent
-- params:  @profile_id STRING, @purposes ARRAY<STRING>, @most INT64: rows; those in force are among
--          them however old they are
-- output:  in_force BOOL: the newest statement of the source that decided
with told as (
  select
    h.type, h.value, s.purpose, s.state, s.source, s.explicit, s.said_at, s.evidence,
    s.told_by,
    -- The statement that tells what all of the identifier's amount to, where that counts.
    s.source = h.source
      and s.state = if(h.state = 'unknown', 'granted', h.state)
      and (h.state = 'denied' or not h.bound) as stands
  from heard as h
  join statement as s on s.type = h.type and s.value = h.value and s.purpose = h.purpose
  where h.profile_id = @profile_id and s.purpose in unnest(@purposes)
),
placed as (
  select
    t.type, t.value, t.purpose, t.state, t.source, t.explicit, t.said_at, t.evidence, t.told_by,
    -- What has lapsed was granted.
    t.source = c.source and t.state = if(c.state = 'unknown', 'granted', c.state) as decides,
    row_number() over (
      partition by
        t.purpose,
        t.source = c.source and t.state = if(c.state = 'unknown', 'granted', c.state)
      order by if(t.stands, 0, 1), t.said_at desc, t.type, t.value
    ) as place
  from told as t
  left join profile_consent as c on c.profile_id = @profile_id and c.purpose = t.purpose
)
select
  p.said_at, p.purpose, p.state, p.source, p.explicit,
  coalesce(p.decides and p.place = 1, false) as in_force,
  p.type, coalesce(k.client_id, p.value) as value, p.evidence, p.told_by
from placed as p
left join client as k on p.type = 'client_id' and k.client_key = p.value
where true
qualify in_force or row_number() over (
  order by p.said_at desc, p.purpose, p.state, p.source, p.type, p.value
) <= @most
order by p.said_at desc, p.purpose, p.state, p.source, p.type, value
