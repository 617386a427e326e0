-- What a client may say of one task: until when it may start, how long an attempt may take, and
-- how long it waits for the next one. NULL is what the type says, and costs nothing. skip_after
-- is until when an occurrence of a schedule may start its first attempt.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks
    ADD COLUMN not_after timestamptz,
    ADD COLUMN skip_after timestamptz,
    ADD COLUMN timeout interval,
    ADD COLUMN retry jsonb;
ALTER TABLE types ADD COLUMN expires_in interval;
ALTER TABLE schedules ADD COLUMN timeout interval, ADD COLUMN retry jsonb;

-- No open task has a value yet, but there may be many of them to look at.
SET LOCAL lock_timeout = 0;
CREATE INDEX tasks_open_bounds ON tasks_open (least(not_after, skip_after)) WHERE not_after IS NOT NULL OR skip_after IS NOT NULL;
