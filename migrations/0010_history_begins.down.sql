-- All rows are written into one table again, which is locked for as long.
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

CREATE TABLE tasks_one (LIKE tasks INCLUDING DEFAULTS INCLUDING GENERATED) WITH (fillfactor = 40);
ALTER TABLE tasks_one ALTER COLUMN before_history SET DEFAULT true, ALTER COLUMN worker_id DROP DEFAULT;
INSERT INTO tasks_one (id, task_type, status, execution_time, due_at, payload, attempt, max_attempts, worker_id, started_at,
    finished_at, result, failure_code, failure_message, idempotency_key, created_at)
SELECT id, task_type, status, execution_time, due_at, payload, attempt, max_attempts, worker_id, started_at,
    finished_at, result, failure_code, failure_message, idempotency_key, created_at
FROM tasks;
DROP TABLE tasks;
DROP TABLE history_cut;
DROP FUNCTION create_once, create_again;

ALTER TABLE tasks_one RENAME TO tasks;
ALTER TABLE tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id),
    ADD CONSTRAINT tasks_max_attempts_check CHECK (max_attempts >= 1),
    ADD CONSTRAINT tasks_before_history CHECK (
        (CASE WHEN before_history THEN 'before' ELSE status END) IS NOT NULL
        AND (CASE WHEN before_history THEN 'before' ELSE status END) = 'before');
CREATE INDEX tasks_outcome_type_id ON tasks (outcome, task_type, id);
CREATE INDEX tasks_open_due ON tasks (due_at, id) WHERE outcome = 'open';
CREATE UNIQUE INDEX tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
