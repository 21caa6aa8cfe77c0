-- Where the warehouse stands, for planning.
-- grain:   one row
select
  (select coalesce(max(seq), 0) from settled_run) as seq,
  (select max(fingerprint) from settled_run where seq = (select max(seq) from settled_run)) as fingerprint,
  (select max(store_id) from settled_run where seq = (select max(seq) from settled_run)) as store_id,
  (select count(*) from published where not settled) as unsettled
