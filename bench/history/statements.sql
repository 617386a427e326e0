-- T1, T2 and the reads. :one names the table where the ended rows are read that :ended picks,
-- :all is where any row is, and :open picks those of the open table.
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
CREATE TABLE known AS SELECT id FROM (SELECT id FROM :one TABLESAMPLE system (10) LIMIT 100000) ids ORDER BY random() LIMIT 1000;
ANALYZE known;
