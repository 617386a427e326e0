-- What tasks are found by. A task shows its own labels, NULL if it has none; task_labels has a row
-- for each of them, so that the newest tasks of a label are next to each other. The statement that
-- creates a task writes them. They stay as they are when the task starts and ends, and go when it is
-- kept no longer.
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
