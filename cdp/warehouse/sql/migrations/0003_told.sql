-- Where a loaded row is from, who loaded it, and when a grant lapses or begins next.

-- grain: that of settled_run, raw_link and raw_decision
alter table settled_run add column if not exists lapses_at timestamp;
alter table raw_link add column if not exists name string;
alter table raw_link add column if not exists line int64;
alter table raw_link add column if not exists loaded_at timestamp;
alter table raw_link add column if not exists loaded_by string;
alter table raw_decision add column if not exists date_only bool;
alter table raw_decision add column if not exists notice string;
alter table raw_decision add column if not exists name string;
alter table raw_decision add column if not exists line int64;
alter table raw_decision add column if not exists loaded_at timestamp;
alter table raw_decision add column if not exists loaded_by string;

insert into migration (name) values ('0003_told')
