-- The trace context of whoever created a task, as the header traceparent has it. NULL without one, and costs nothing.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks ADD COLUMN traceparent text;
