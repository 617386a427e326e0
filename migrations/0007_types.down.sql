LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
DROP TRIGGER refuse_older_workers ON workers;
DROP FUNCTION refuse_older_workers;
ALTER TABLE workers DROP COLUMN protocol;
DROP TABLE types, types_version;
