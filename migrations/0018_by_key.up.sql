SET LOCAL lock_timeout = '300ms';

-- refuse_key_used fails if a task of the key has ended since then. It comes after a row of the key
-- stands in the index of the open ones, where none of the key can be a second time: each task
-- that had the key since then is seen here.
CREATE FUNCTION refuse_key_used(key text, since timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tasks_ended e WHERE e.idempotency_key = key AND e.finished_at >= since) THEN
        RAISE unique_violation USING MESSAGE = 'a task of this key has ended meanwhile', CONSTRAINT = 'tasks_idempotency_key';
    END IF;
END $$;
