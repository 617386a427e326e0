LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE starts DROP COLUMN task_type;
DROP TABLE running, uncounted;
DROP TRIGGER refuse_older_workers ON workers;
DROP FUNCTION refuse_older_workers;
ALTER TABLE workers DROP COLUMN protocol;
DROP TABLE types, types_version;
