-- (d) one table, as it is: an end changes outcome, which two indexes see.
CREATE TABLE tasks (LIKE columns INCLUDING DEFAULTS, outcome task_outcome NOT NULL GENERATED ALWAYS AS (
    CASE status WHEN 'submitted' THEN 'open'::task_outcome WHEN 'started_executing' THEN 'open'
    WHEN 'done' THEN 'done' WHEN 'failed' THEN 'failed' WHEN 'deleted' THEN 'deleted' END) STORED) WITH (fillfactor = 40);
INSERT INTO tasks SELECT * FROM ended(:rows);
ALTER TABLE tasks ADD PRIMARY KEY (id);
CREATE INDEX tasks_outcome_type_id ON tasks (outcome, task_type, id);
CREATE INDEX tasks_open_due ON tasks (due_at, id) WHERE outcome = 'open';
CREATE UNIQUE INDEX tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE VIEW history AS SELECT * FROM tasks WHERE outcome <> 'open';

-- One round of retention: at most 1000 rows of a page of 10,000 by id.
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM tasks WHERE id IN (
            SELECT id FROM (SELECT id, finished_at FROM tasks WHERE outcome <> 'open' ORDER BY id LIMIT 10000) page
            WHERE finished_at < before LIMIT 1000)
        RETURNING 1
    ) SELECT count(*) FROM gone
$$;
CREATE VIEW everything AS SELECT id, status FROM tasks;
