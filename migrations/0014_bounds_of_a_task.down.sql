LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
DROP INDEX tasks_open_bounds;
ALTER TABLE tasks DROP COLUMN not_after, DROP COLUMN skip_after, DROP COLUMN timeout, DROP COLUMN retry;
ALTER TABLE types DROP COLUMN expires_in;
ALTER TABLE schedules DROP COLUMN timeout, DROP COLUMN retry;
