-- (e) one partitioned table; an end changes the partition key, and Postgres moves the row.
CREATE TABLE tasks (LIKE columns INCLUDING DEFAULTS, ended_at timestamptz NOT NULL DEFAULT 'infinity')
    PARTITION BY RANGE (ended_at);
CREATE TABLE tasks_open PARTITION OF tasks FOR VALUES FROM ('infinity') TO (MAXVALUE) WITH (fillfactor = 40);
SELECT format('CREATE TABLE tasks_%s PARTITION OF tasks FOR VALUES FROM (%L) TO (%L)',
              to_char(day, 'YYYYMMDD'), day, day + interval '1 day')
FROM generate_series(date_trunc('day', now()) - interval '8 days', date_trunc('day', now()) + interval '1 day', interval '1 day') day
\gexec
INSERT INTO tasks SELECT *, finished_at FROM ended(:rows);
ALTER TABLE tasks ADD PRIMARY KEY (id, ended_at);
CREATE INDEX tasks_type_id ON tasks_open (task_type, id);
SELECT format('CREATE INDEX ON %s (status, task_type, id)', relid::regclass)
FROM pg_partition_tree('tasks') WHERE isleaf AND relid <> 'tasks_open'::regclass
\gexec
CREATE INDEX tasks_due ON tasks_open (due_at, id);
CREATE INDEX tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE VIEW history AS SELECT * FROM tasks WHERE ended_at < 'infinity';
CREATE FUNCTION t3(ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH finished AS (
        UPDATE tasks t SET status = 'done', finished_at = clock_timestamp(), ended_at = clock_timestamp(), result = '{"status":200}'
        WHERE id = ANY(ids) AND ended_at = 'infinity' AND status = 'started_executing' AND attempt = 1 RETURNING 1
    ) SELECT count(*) FROM finished
$$;
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE sql AS $$ SELECT drop_oldest('tasks', 'tasks_open') $$;
CREATE VIEW everything AS SELECT id, status FROM tasks;
