-- The last day that tells of consent: the last cleaned one, or that of a later decision.
-- grain:   one row
-- inputs:  cleaned_day, raw_decision
-- params:  @today DATE: a decision of the future tells nothing
select
  (select max(event_date) from cleaned_day) as cleaned,
  (select max(date(decided_at)) from raw_decision where date(decided_at) <= @today) as decided
