-- (a) the end moves the row, in its own statement.
CREATE FUNCTION t3(ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM tasks WHERE id = ANY(ids) AND status = 'started_executing' AND attempt = 1 RETURNING *
    ), moved AS (
        INSERT INTO history
        SELECT id, task_type, 'done', execution_time, due_at, payload, attempt, max_attempts, worker_id, started_at,
               clock_timestamp(), '{"status":200}', NULL, NULL, idempotency_key, created_at
        FROM gone RETURNING 1
    ) SELECT count(*) FROM moved
$$;

CREATE FUNCTION get(want uuid) RETURNS TABLE (id uuid, status text) LANGUAGE sql AS $$
    SELECT id, status FROM tasks WHERE id = want UNION ALL SELECT id, status FROM history WHERE id = want
$$;
CREATE FUNCTION list_status_type() RETURNS SETOF uuid LANGUAGE sql AS $$
    (SELECT id FROM history WHERE status = 'failed' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
$$;
CREATE FUNCTION list_status() RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT id FROM (
        (SELECT id FROM history WHERE status = 'done' AND task_type = 'foo' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE status = 'done' AND task_type = 'bar' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE status = 'done' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE status = 'done' AND task_type = 'webhook' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51
$$;
CREATE FUNCTION list_type() RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT id FROM (
        (SELECT id FROM history WHERE status = 'done' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE status = 'failed' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
        UNION ALL (SELECT id FROM history WHERE status = 'deleted' AND task_type = 'baz' ORDER BY id DESC LIMIT 51)
    ) heads ORDER BY id DESC LIMIT 51
$$;
