-- One row a task. The system of record.
--
-- status is what the world sees and what every guard tests. It stands in no
-- index on purpose: a start changes only unindexed columns, so Postgres makes
-- it a heap-only update (HOT) that writes to no index at all. outcome follows
-- status by itself and changes once, when the task ends; it is what the lists
-- and the cascade are indexed by. docs/adr/0002 has the measurements.
CREATE TABLE tasks (
    id              uuid PRIMARY KEY,
    task_type       text NOT NULL,
    status          text NOT NULL DEFAULT 'submitted'
        CHECK (status IN ('submitted', 'started_executing', 'done', 'failed', 'deleted')),
    outcome         text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN status IN ('done', 'failed', 'deleted') THEN status ELSE 'open' END) STORED,
    execution_time  timestamptz NOT NULL,
    due_at          timestamptz NOT NULL,
    payload         jsonb,
    attempt         integer NOT NULL DEFAULT 0,
    max_attempts    integer NOT NULL DEFAULT 1 CHECK (max_attempts >= 1),
    worker_id       uuid,
    started_at      timestamptz,
    finished_at     timestamptz,
    result          jsonb,
    failure_code    text,
    failure_message text,
    idempotency_key text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Serves the lists by status, by type and by both: few types and few outcomes,
-- so their index heads are merged.
CREATE INDEX tasks_outcome_type_id ON tasks (outcome, task_type, id);

-- Feeds the cascade and the repairs. Ended tasks leave it, so its size is that
-- of the work ahead and not of history.
CREATE INDEX tasks_open_due ON tasks (due_at, id) WHERE outcome = 'open';

CREATE UNIQUE INDEX tasks_idempotency_key ON tasks (idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- One row a worker session. Its lease is the liveness of all that it started.
CREATE TABLE workers (
    id          uuid PRIMARY KEY,
    host        text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    dead_at     timestamptz
);

-- One row a batch of starts that one statement committed: the receipt of that
-- statement, and the way to what a session has running without an index on
-- the tasks themselves. The last finish of a batch removes its row.
CREATE TABLE starts (
    worker_id uuid NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    seq       bigint NOT NULL,
    task_ids  uuid[] NOT NULL,
    PRIMARY KEY (worker_id, seq)
);
