ALTER TABLE tasks
    ALTER COLUMN payload TYPE jsonb,
    ALTER COLUMN result TYPE jsonb;
