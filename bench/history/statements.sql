-- T1, T2 and the reads: of history, the rows that have ended, and of everything. :state is the
-- column of history that its index begins with.
CREATE FUNCTION t1(n integer) RETURNS uuid[] LANGUAGE sql AS $$
    WITH made AS (
        INSERT INTO tasks (id, task_type, execution_time, due_at, payload)
        SELECT uuid7(clock_timestamp()), (ARRAY['foo', 'bar', 'baz', 'webhook'])[1 + i % 4], now(), now(),
               '{"url":"https://example.com/hooks/orders","order":"12345678"}'
        FROM generate_series(1, n) i RETURNING id
    ) SELECT array_agg(id) FROM made
$$;
CREATE FUNCTION t2(ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH started AS (
        UPDATE tasks SET status = 'started_executing', attempt = attempt + 1, started_at = clock_timestamp(),
               worker_id = '018f0000-0000-7000-8000-000000000001'
        WHERE id = ANY(ids) AND status = 'submitted' AND due_at <= clock_timestamp() RETURNING 1
    ) SELECT count(*) FROM started
$$;
CREATE FUNCTION get(want uuid) RETURNS TABLE (id uuid, status text)
BEGIN ATOMIC SELECT e.id, e.status FROM everything e WHERE e.id = want; END;
CREATE FUNCTION list_status_type() RETURNS SETOF uuid
BEGIN ATOMIC (SELECT id FROM history WHERE :state = 'failed' AND task_type = 'baz' ORDER BY id DESC LIMIT 51); END;
CREATE FUNCTION list_status() RETURNS SETOF uuid BEGIN ATOMIC
    SELECT id FROM (
        (SELECT id FROM history WHERE :state = 'done' AND task_type = 'foo' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE :state = 'done' AND task_type = 'bar' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE :state = 'done' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE :state = 'done' AND task_type = 'webhook' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51;
END;
CREATE FUNCTION list_type() RETURNS SETOF uuid BEGIN ATOMIC
    SELECT id FROM (
        (SELECT id FROM history WHERE :state = 'done' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE :state = 'failed' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE :state = 'deleted' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51;
END;
CREATE TABLE known AS SELECT id FROM (SELECT id FROM history LIMIT 100000) ids ORDER BY random() LIMIT 1000;
ANALYZE known;
