-- When a client asked for a task to be cancelled while it ran, which task it repeats, and its
-- attempts before the latest. NULL is none, and costs nothing.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN retry_of uuid,
    ADD COLUMN earlier_attempts jsonb;

-- The tasks that sessions are to cancel. A session looks for its own here, and removes those
-- that have ended. An index of tasks_open would have to be built while all else waits.
CREATE TABLE cancels (
    worker_id uuid NOT NULL,
    task_id   uuid NOT NULL,
    PRIMARY KEY (worker_id, task_id)
);
