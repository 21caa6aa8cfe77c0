-- The last day that tells of consent: the last cleaned one, or that of a later decision.
-- grain:   one row
-- inputs:  cleaned_day, statement
-- params:  @today DATE: a decision of the future tells nothing
select
  (select max(event_date) from cleaned_day) as cleaned,
  (select max(date(said_at)) from statement where decided and date(said_at) <= @today) as decided
