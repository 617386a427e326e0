-- (b) the end changes the row, and pages of ended rows move later.
CREATE INDEX tasks_ended ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE FUNCTION t3(ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH finished AS (
        UPDATE tasks t SET status = 'done', finished_at = clock_timestamp(), result = '{"status":200}'
        WHERE id = ANY(ids) AND status = 'started_executing' AND attempt = 1 RETURNING 1
    ) SELECT count(*) FROM finished
$$;
CREATE FUNCTION move() RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT 5000) RETURNING *
    ), moved AS (
        INSERT INTO history SELECT * FROM gone RETURNING 1
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
