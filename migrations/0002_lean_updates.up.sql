-- What a task's two updates cost Postgres, less a third. docs/adr/0006 has the
-- measurements.
--
-- outcome becomes an enum, which an index compares faster than a text; a status
-- that is none of the five has no outcome, and so is refused. A started row is
-- larger than a submitted one by a worker and a time: with two fifths of a page
-- filled, all of its rows may start and stay in it. Task types and keys are
-- names and not words, so they are ordered by their bytes, whatever the locale
-- of the database, and no update of the system's locales harms their indexes.
-- Open ones come last, so that new tasks stand at the end of the list index.
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

CREATE TYPE task_outcome AS ENUM ('done', 'failed', 'deleted', 'open');

ALTER TABLE tasks
    DROP CONSTRAINT tasks_status_check,
    DROP COLUMN outcome,
    ADD COLUMN outcome task_outcome NOT NULL GENERATED ALWAYS AS (
        CASE status
            WHEN 'submitted' THEN 'open'::task_outcome WHEN 'started_executing' THEN 'open'
            WHEN 'done' THEN 'done' WHEN 'failed' THEN 'failed' WHEN 'deleted' THEN 'deleted' END) STORED,
    ALTER COLUMN task_type TYPE text COLLATE "C",
    ALTER COLUMN idempotency_key TYPE text COLLATE "C",
    SET (fillfactor = 40);

-- These went with the column.
CREATE INDEX tasks_outcome_type_id ON tasks (outcome, task_type, id);
CREATE INDEX tasks_open_due ON tasks (due_at, id) WHERE outcome = 'open';

-- A receipt lives for as long as a task runs: to compress it costs more than
-- its bytes do.
ALTER TABLE starts ALTER COLUMN task_ids SET STORAGE EXTERNAL;
