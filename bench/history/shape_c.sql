-- (c) partitions of a day by the time in the id; an end changes outcome as it does in (d).
CREATE TABLE tasks (LIKE columns INCLUDING DEFAULTS, outcome task_outcome NOT NULL GENERATED ALWAYS AS (
    CASE status WHEN 'submitted' THEN 'open'::task_outcome WHEN 'started_executing' THEN 'open'
    WHEN 'done' THEN 'done' WHEN 'failed' THEN 'failed' WHEN 'deleted' THEN 'deleted' END) STORED) PARTITION BY RANGE (id);
CREATE FUNCTION first_id(at timestamptz) RETURNS uuid LANGUAGE sql AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;
SELECT format('CREATE TABLE tasks_%s PARTITION OF tasks FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 40)',
              to_char(day, 'YYYYMMDD'), first_id(day), first_id(day + interval '1 day'))
FROM generate_series(date_trunc('day', now()) - interval '8 days', date_trunc('day', now()) + interval '1 day', interval '1 day') day
\gexec
INSERT INTO tasks SELECT * FROM ended(:rows);
ALTER TABLE tasks ADD PRIMARY KEY (id);
CREATE INDEX tasks_outcome_type_id ON tasks (outcome, task_type, id);
CREATE INDEX tasks_open_due ON tasks (due_at, id) WHERE outcome = 'open';
CREATE INDEX tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE VIEW history AS SELECT * FROM tasks WHERE outcome <> 'open';
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE sql AS $$ SELECT drop_oldest('tasks', '') $$;
CREATE VIEW everything AS SELECT id, status FROM tasks;
