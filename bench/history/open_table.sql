-- What (a) and (b) share: the table of open tasks, and their history in partitions of a day by
-- the time of the end.
CREATE TABLE tasks (LIKE columns INCLUDING DEFAULTS) WITH (fillfactor = 40);
CREATE TABLE history (LIKE columns) PARTITION BY RANGE (finished_at);
SELECT format('CREATE TABLE history_%s PARTITION OF history FOR VALUES FROM (%L) TO (%L)',
              to_char(day, 'YYYYMMDD'), day, day + interval '1 day')
FROM generate_series(date_trunc('day', now()) - interval '8 days', date_trunc('day', now()) + interval '1 day', interval '1 day') day
\gexec
INSERT INTO history SELECT * FROM ended(:rows);
CREATE INDEX history_id ON history (id);
CREATE INDEX history_status_type_id ON history (status, task_type, id);
CREATE INDEX history_idempotency_key ON history (idempotency_key) WHERE idempotency_key IS NOT NULL;
ALTER TABLE tasks ADD PRIMARY KEY (id);
CREATE INDEX tasks_due ON tasks (due_at, id);
CREATE INDEX tasks_type_id ON tasks (task_type, id);
CREATE UNIQUE INDEX tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Retention drops what is old; here the oldest partition, whatever its age.
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE sql AS $$ SELECT drop_oldest('history', '') $$;
CREATE VIEW everything AS SELECT id, status FROM tasks UNION ALL SELECT id, status FROM history;
