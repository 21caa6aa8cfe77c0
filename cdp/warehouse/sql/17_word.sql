-- What the statements about each subject and purpose amount to.
-- grain:   one row per subject and purpose of which anything was said
-- inputs:  said
-- params:  @now TIMESTAMP, @purpose_rules ARRAY<STRING> of 'purpose|scope|months', no months: a grant
--          never lapses
-- rule:    the newest statement wins, at one instant the denial. An explicit denial holds off every
--          grant until an explicit one; any newer denial closes. See cdp.domain.consent.
begin transaction;

delete from word where subject in (select distinct s.subject from said as s);

insert into word (
  subject, purpose, state, since, source, explicit, said_at, denied_at, yes_at, asked_at, lapses_at
)
with rules as (
  select
    split(r, '|')[safe_offset(0)] as purpose,
    safe_cast(split(r, '|')[safe_offset(2)] as int64) as months
  from unnest(@purpose_rules) as r
),
known as (
  select
    s.subject, s.purpose, s.state, s.said_at, s.source, s.explicit,
    timestamp(datetime_add(datetime(s.said_at), interval r.months month)) as lapses_at
  from said as s
  join rules as r on r.purpose = s.purpose
  where s.state = 'denied' or s.said_at <= @now
),
heard as (
  select
    subject, purpose, state, said_at, source, explicit, lapses_at,
    last_value(if(explicit, state, null) ignore nulls) over (
      partition by subject, purpose
      order by said_at, if(state = 'denied', 1, 0), if(explicit, 1, 0), source
      rows between unbounded preceding and 1 preceding
    ) as decided
  from known
),
placed as (
  select
    subject, purpose, state, said_at, source, explicit, lapses_at,
    lag(state) over (
      partition by subject, purpose
      order by said_at, if(state = 'denied', 1, 0), if(explicit, 1, 0), source
    ) as before,
    lag(lapses_at) over (
      partition by subject, purpose
      order by said_at, if(state = 'denied', 1, 0), if(explicit, 1, 0), source
    ) as before_lapses_at,
    row_number() over (
      partition by subject, purpose
      order by said_at, if(state = 'denied', 1, 0), if(explicit, 1, 0), source
    ) as place
  from heard
  where state = 'denied' or explicit or coalesce(decided, 'granted') = 'granted'
),
spells as (
  select
    *,
    sum(
      if(
        before = state and (state = 'denied' or coalesce(before_lapses_at > said_at, true)), 0, 1
      )
    ) over (
      partition by subject, purpose order by place
      rows between unbounded preceding and current row
    ) as spell
  from placed
),
weighed as (
  select
    *,
    row_number() over (partition by subject, purpose order by place desc) as back,
    min(said_at) over (partition by subject, purpose, spell) as since,
    -- The newest explicit one of the spell, else the newest.
    last_value(if(explicit, source, null) ignore nulls) over (
      partition by subject, purpose, spell order by place
      rows between unbounded preceding and current row
    ) as decided_by,
    max(if(state = 'granted' and explicit, said_at, null)) over (
      partition by subject, purpose, spell
    ) as yes_at,
    max(if(state = 'granted' and explicit, lapses_at, null)) over (
      partition by subject, purpose, spell
    ) as yes_lapses_at,
    max(if(state = 'denied', said_at, null)) over (partition by subject, purpose) as denied_at,
    max(if(state = 'granted' and explicit, said_at, null)) over (
      partition by subject, purpose
    ) as asked_at
  from spells
)
select
  subject, purpose,
  if(state = 'granted' and lapses_at <= @now, 'unknown', state) as state,
  if(state = 'granted' and lapses_at <= @now, lapses_at, since) as since,
  coalesce(decided_by, source) as source, decided_by is not null as explicit, said_at, denied_at,
  if(state = 'denied' or lapses_at <= @now or yes_lapses_at <= @now, null, yes_at) as yes_at,
  asked_at,
  if(state = 'denied' or lapses_at <= @now, null, lapses_at) as lapses_at
from weighed
where back = 1;

commit transaction
