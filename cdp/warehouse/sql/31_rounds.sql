-- What the rounds of stitching leave behind, empty at the start.
-- grain:   hooked: one row per identifier that found a smaller one; label: likewise, with its label
create or replace table hooked (round int64, id int64, parent int64) cluster by round, id;
create or replace table label (id int64, label int64) cluster by id
