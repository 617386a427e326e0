-- T3 of (b), (c), (d) and (f): the end changes the row, which Postgres moves in (f).
CREATE FUNCTION t3(ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH finished AS (
        UPDATE tasks t SET status = 'done', finished_at = clock_timestamp(), result = '{"status":200}'
        WHERE id = ANY(ids) AND status = 'started_executing' AND attempt = 1 RETURNING 1
    ) SELECT count(*) FROM finished
$$;
