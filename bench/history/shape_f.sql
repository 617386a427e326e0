-- (f) one table in partitions by status: the open rows in one, the ended ones in partitions of
-- a day by the time of the end. An end changes the status, and Postgres moves the row.
CREATE TABLE tasks (LIKE columns INCLUDING DEFAULTS, outcome task_outcome NOT NULL GENERATED ALWAYS AS (
    CASE status WHEN 'submitted' THEN 'open'::task_outcome WHEN 'started_executing' THEN 'open'
        WHEN 'done' THEN 'done' WHEN 'failed' THEN 'failed' WHEN 'deleted' THEN 'deleted' END) STORED) PARTITION BY LIST (status);
CREATE TABLE tasks_open PARTITION OF tasks FOR VALUES IN ('submitted', 'started_executing') WITH (fillfactor = 40);
CREATE TABLE history PARTITION OF tasks FOR VALUES IN ('done', 'failed', 'deleted') PARTITION BY RANGE (finished_at);
SELECT format('CREATE TABLE history_%s PARTITION OF history FOR VALUES FROM (%L) TO (%L)',
              to_char(day, 'YYYYMMDD'), day, day + interval '1 day')
FROM generate_series(date_trunc('day', now()) - interval '8 days', date_trunc('day', now()) + interval '1 day', interval '1 day') day
\gexec
INSERT INTO tasks SELECT * FROM ended(:rows);
CREATE INDEX history_id ON history (id);
CREATE INDEX history_outcome_type_id ON history (outcome, task_type, id);
CREATE INDEX history_idempotency_key ON history (idempotency_key) WHERE idempotency_key IS NOT NULL;
ALTER TABLE tasks_open ADD PRIMARY KEY (id);
CREATE INDEX tasks_open_due ON tasks_open (due_at, id);
CREATE INDEX tasks_open_outcome_type_id ON tasks_open (outcome, task_type, id);
CREATE UNIQUE INDEX tasks_idempotency_key ON tasks_open (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE sql AS $$ SELECT drop_oldest('history', '') $$;
CREATE VIEW everything AS SELECT id, status FROM tasks;
