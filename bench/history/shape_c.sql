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
CREATE FUNCTION t3(ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH finished AS (
        UPDATE tasks t SET status = 'done', finished_at = clock_timestamp(), result = '{"status":200}'
        WHERE id = ANY(ids) AND status = 'started_executing' AND attempt = 1 RETURNING 1
    ) SELECT count(*) FROM finished
$$;
CREATE FUNCTION retain(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE oldest text;
BEGIN
    SELECT relid::regclass::text INTO oldest FROM pg_partition_tree('tasks') WHERE isleaf ORDER BY relid::regclass::text LIMIT 1;
    SET LOCAL lock_timeout = '100ms';
    EXECUTE format('DROP TABLE %s', oldest);
    RETURN 1;
END $$;

CREATE FUNCTION get(want uuid) RETURNS TABLE (id uuid, status text) LANGUAGE sql AS $$
    SELECT id, status FROM tasks WHERE id = want
$$;
CREATE FUNCTION list_status_type() RETURNS SETOF uuid LANGUAGE sql AS $$
    (SELECT id FROM tasks WHERE outcome = 'failed' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
$$;
CREATE FUNCTION list_status() RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT id FROM (
        (SELECT id FROM tasks WHERE outcome = 'done' AND task_type = 'foo' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE outcome = 'done' AND task_type = 'bar' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE outcome = 'done' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE outcome = 'done' AND task_type = 'webhook' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51
$$;
CREATE FUNCTION list_type() RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT id FROM (
        (SELECT id FROM tasks WHERE outcome = 'done' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE outcome = 'failed' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM tasks WHERE outcome = 'deleted' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51
$$;
