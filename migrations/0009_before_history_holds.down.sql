ALTER TABLE tasks
    DROP CONSTRAINT tasks_before_history,
    ADD CONSTRAINT tasks_before_history CHECK (
        (CASE WHEN before_history THEN 'before' ELSE status END) IS NOT NULL
        AND (CASE WHEN before_history THEN 'before' ELSE status END) = 'before') NOT VALID;
