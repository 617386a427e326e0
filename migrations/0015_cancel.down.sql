LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks DROP COLUMN cancel_requested_at, DROP COLUMN retry_of, DROP COLUMN earlier_attempts;
DROP TABLE cancels;
