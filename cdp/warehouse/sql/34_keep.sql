-- Keep the round's roots; no row means that no edge was left.
-- grain:   one row per identifier of the round
-- params:  @round INT64
insert into hooked (round, id, parent)
select @round, p.id, p.parent from parent as p
