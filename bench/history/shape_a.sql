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
