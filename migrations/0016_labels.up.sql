-- What tasks are found by. A task shows its own labels, NULL if it has none; task_labels has a row
-- for each of them, so that the newest tasks of a label are next to each other. A row stays as it
-- is when its task starts and ends, and goes when the task is kept no longer.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE tasks ADD COLUMN labels text[];
ALTER TABLE schedules ADD COLUMN labels text[];

CREATE TABLE task_labels (
    label text COLLATE "C" NOT NULL,
    id    uuid NOT NULL,
    PRIMARY KEY (label, id)
);

-- Whoever creates a task notes its labels. For a task without labels that is one look at a column
-- that is in hand.
CREATE FUNCTION note_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO task_labels (label, id) SELECT unnest(NEW.labels), NEW.id ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER note_labels AFTER INSERT ON tasks_open
    FOR EACH ROW WHEN (NEW.labels IS NOT NULL) EXECUTE FUNCTION note_labels();
