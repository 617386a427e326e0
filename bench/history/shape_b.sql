-- (b) the end changes the row, and pages of ended rows move later.
CREATE INDEX tasks_ended ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE FUNCTION move() RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT 5000) RETURNING *
    ), moved AS (
        INSERT INTO history SELECT * FROM gone RETURNING 1
    ) SELECT count(*) FROM moved
$$;
