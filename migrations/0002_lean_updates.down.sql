LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

ALTER TABLE starts ALTER COLUMN task_ids SET STORAGE EXTENDED;

ALTER TABLE tasks
    DROP COLUMN outcome,
    ADD CONSTRAINT tasks_status_check
        CHECK (status IN ('submitted', 'started_executing', 'done', 'failed', 'deleted')),
    ADD COLUMN outcome text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN status IN ('done', 'failed', 'deleted') THEN status ELSE 'open' END) STORED,
    ALTER COLUMN task_type TYPE text COLLATE "default",
    ALTER COLUMN idempotency_key TYPE text COLLATE "default",
    SET (fillfactor = 50);

CREATE INDEX tasks_outcome_type_id ON tasks (outcome, task_type, id);
CREATE INDEX tasks_open_due ON tasks (due_at, id) WHERE outcome = 'open';

DROP TYPE task_outcome;
