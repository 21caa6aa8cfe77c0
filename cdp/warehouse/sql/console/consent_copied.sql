-- The last decision of the console that was published; their ids are in their order.
-- grain:   one row
-- inputs:  desk_decision
select max(decision_id) as decision_id from desk_decision
