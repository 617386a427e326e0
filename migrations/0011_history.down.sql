-- The oldest part of the history stays one.
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

DROP FUNCTION drop_history;
DROP FUNCTION extend_history, first_gap;
DROP VIEW history_parts;
DROP FUNCTION refuse_ended, refuse_created_again;
DROP TABLE created_again;

ALTER TABLE tasks ADD COLUMN before_history boolean NOT NULL DEFAULT false;
ALTER TABLE tasks DETACH PARTITION tasks_open;
ALTER TABLE tasks DETACH PARTITION tasks_ended;
DROP TABLE tasks;

CREATE TABLE tasks_before (LIKE tasks_open INCLUDING DEFAULTS INCLUDING GENERATED) WITH (fillfactor = 40);
ALTER TABLE tasks_before ALTER COLUMN before_history SET DEFAULT true,
    ADD CONSTRAINT tasks_before_pkey PRIMARY KEY (id),
    ADD CONSTRAINT tasks_before_max_attempts_check CHECK (max_attempts >= 1),
    ADD CONSTRAINT tasks_before_history CHECK (
        (CASE WHEN before_history THEN 'before' ELSE status END) IS NOT NULL
        AND (CASE WHEN before_history THEN 'before' ELSE status END) = 'before');
CREATE INDEX tasks_before_outcome_type_id ON tasks_before (outcome, task_type, id);
CREATE INDEX tasks_before_open_due ON tasks_before (due_at, id) WHERE outcome = 'open';
CREATE UNIQUE INDEX tasks_before_idempotency_key ON tasks_before (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE tasks (LIKE tasks_before INCLUDING DEFAULTS INCLUDING GENERATED)
    PARTITION BY LIST ((CASE WHEN before_history THEN 'before' ELSE status END));
ALTER TABLE tasks ALTER COLUMN before_history SET DEFAULT false;
ALTER TABLE tasks ATTACH PARTITION tasks_before FOR VALUES IN ('before');
ALTER TABLE tasks_open ADD CONSTRAINT tasks_open_status CHECK (status IN ('submitted', 'started_executing'));
ALTER TABLE tasks ATTACH PARTITION tasks_open FOR VALUES IN ('submitted', 'started_executing');
ALTER TABLE tasks_ended ADD CONSTRAINT tasks_ended_status CHECK (status IN ('done', 'failed', 'deleted'));
ALTER TABLE tasks ATTACH PARTITION tasks_ended FOR VALUES IN ('done', 'failed', 'deleted');
CREATE TABLE history_cut (at timestamptz NOT NULL, one boolean PRIMARY KEY DEFAULT true CHECK (one));
ALTER TABLE ONLY tasks ALTER COLUMN worker_id SET DEFAULT '00000000-0000-0000-0000-000000000000';
CREATE TRIGGER create_once AFTER INSERT ON tasks
    REFERENCING NEW TABLE AS created FOR EACH STATEMENT EXECUTE FUNCTION create_once();
