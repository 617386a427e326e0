LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks DROP COLUMN traceparent;
