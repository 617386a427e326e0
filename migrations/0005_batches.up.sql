-- One row per batch that was created under a key: what it was, and the ids that it
-- was answered with. A repeated request is answered from here, also when some of
-- the tasks have ended and were removed since.
CREATE TABLE batches (
    key        text COLLATE "C" PRIMARY KEY,
    digest     bytea NOT NULL,
    task_ids   uuid[] NOT NULL,
    last_due   timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What retention removes.
CREATE INDEX batches_last_due ON batches (last_due);
