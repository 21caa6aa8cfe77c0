-- The document store is another one than the last run delivered to: everything is to be written.
-- grain:   that of published
delete from published where true
