-- Compose the rounds, from the last back to the first: an identifier's label is its root's.
-- grain:   one row per identifier of the round
-- params:  @round INT64
insert into label (id, label)
select distinct h.id, coalesce(l.label, h.parent)
from hooked as h
left join label as l on l.id = h.parent
where h.round = @round
