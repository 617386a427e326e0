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
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE oldest text;
BEGIN
    SELECT relid::regclass::text INTO oldest FROM pg_partition_tree('tasks')
    WHERE isleaf AND relid <> 'tasks_open'::regclass ORDER BY relid::regclass::text LIMIT 1;
    SET LOCAL lock_timeout = '100ms';
    EXECUTE format('DROP TABLE %s', oldest);
    RETURN 1;
END $$;

CREATE FUNCTION get(want uuid) RETURNS TABLE (id uuid, status text) LANGUAGE sql AS $$
    SELECT id, status FROM tasks WHERE id = want
$$;
CREATE FUNCTION list_status_type() RETURNS SETOF uuid LANGUAGE sql AS $$
    (SELECT id FROM tasks WHERE status = 'failed' AND task_type = 'baz' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
$$;
CREATE FUNCTION list_status() RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT id FROM (
        (SELECT id FROM tasks WHERE status = 'done' AND task_type = 'foo' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE status = 'done' AND task_type = 'bar' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE status = 'done' AND task_type = 'baz' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE status = 'done' AND task_type = 'webhook' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51
$$;
CREATE FUNCTION list_type() RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT id FROM (
        (SELECT id FROM tasks WHERE status = 'done' AND task_type = 'baz' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE status = 'failed' AND task_type = 'baz' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE status = 'deleted' AND task_type = 'baz' AND ended_at < 'infinity' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51
$$;
