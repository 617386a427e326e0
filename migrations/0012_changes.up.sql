-- How often a client has changed a task. NULL is never, and costs nothing. A change names the
-- number that it has seen, so none is lost to another one.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks ADD COLUMN changes integer;
