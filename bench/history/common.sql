-- What all shapes have in common: the columns of a task, and how rows are made.
\set ON_ERROR_STOP on
DROP SCHEMA IF EXISTS shape CASCADE;
CREATE SCHEMA shape;

CREATE TYPE task_outcome AS ENUM ('done', 'failed', 'deleted', 'open');
CREATE TABLE columns (
    id uuid NOT NULL, task_type text COLLATE "C" NOT NULL, status text NOT NULL DEFAULT 'submitted',
    execution_time timestamptz NOT NULL, due_at timestamptz NOT NULL, payload json,
    attempt integer NOT NULL DEFAULT 0, max_attempts integer NOT NULL DEFAULT 1, worker_id uuid,
    started_at timestamptz, finished_at timestamptz, result json, failure_code text, failure_message text,
    idempotency_key text COLLATE "C", created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- uuid7 is an id that begins with a time, as those of tasks do.
CREATE FUNCTION uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 19))::uuid
$$;

-- ended are n rows as they end: over the last seven days, of four types, one of ten failed.
CREATE FUNCTION ended(n bigint) RETURNS SETOF columns LANGUAGE sql VOLATILE AS $$
    SELECT uuid7(at), (ARRAY['foo', 'bar', 'baz', 'webhook'])[1 + i % 4],
           CASE WHEN i % 10 = 0 THEN 'failed' ELSE 'done' END, at, at,
           '{"url":"https://example.com/hooks/orders","order":"12345678"}'::json, 1, 1,
           '018f0000-0000-7000-8000-000000000001'::uuid, at, at + interval '20 ms', '{"status":200}'::json,
           CASE WHEN i % 10 = 0 THEN 'handler_error' END, CASE WHEN i % 10 = 0 THEN 'it answered 500' END, NULL, at
    FROM (SELECT i, now() - interval '7 days' + i * (interval '7 days' / n) AS at FROM generate_series(1, n) i) made
$$;

-- drop_oldest drops the oldest partition of a table, whatever its age, but for one that stays.
CREATE FUNCTION drop_oldest(parent regclass, stays text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE oldest text;
BEGIN
    SELECT relid::regclass::text INTO oldest FROM pg_partition_tree(parent)
    WHERE isleaf AND relid::regclass::text <> stays ORDER BY relid::regclass::text LIMIT 1;
    SET LOCAL lock_timeout = '100ms';
    EXECUTE format('DROP TABLE %s', oldest);
    RETURN 1;
END $$;
