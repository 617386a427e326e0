-- tasks becomes what holds all tasks, in partitions: those that are open, those that have
-- ended, and, for as long as rows are moved, the table as it was. Nothing is read or written
-- here. The program that migrates moves the open rows before the next migration.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

ALTER TABLE tasks RENAME TO tasks_before;
ALTER INDEX tasks_pkey RENAME TO tasks_before_pkey;
ALTER INDEX tasks_idempotency_key RENAME TO tasks_before_idempotency_key;
ALTER INDEX tasks_outcome_type_id RENAME TO tasks_before_outcome_type_id;
ALTER INDEX tasks_open_due RENAME TO tasks_before_open_due;
ALTER TABLE tasks_before RENAME CONSTRAINT tasks_max_attempts_check TO tasks_before_max_attempts_check;

CREATE TABLE tasks (LIKE tasks_before INCLUDING DEFAULTS INCLUDING GENERATED)
    PARTITION BY LIST ((CASE WHEN before_history THEN 'before' ELSE status END));
ALTER TABLE tasks ALTER COLUMN before_history SET DEFAULT false;
ALTER TABLE tasks ATTACH PARTITION tasks_before FOR VALUES IN ('before');

-- What is to run, and what runs. An id and a key are there once, under the names of the
-- constraints that the release before knows. With two fifths of a page filled, all of
-- its rows may start and stay in it. Each task leaves two dead rows behind: vacuum comes when
-- there are ten thousand and a hundredth of what is there, and takes its time ten times as fast.
CREATE TABLE tasks_open PARTITION OF tasks (
    CONSTRAINT tasks_pkey PRIMARY KEY (id),
    CONSTRAINT tasks_max_attempts_check CHECK (max_attempts >= 1),
    CONSTRAINT tasks_open_status CHECK (status IN ('submitted', 'started_executing'))
) FOR VALUES IN ('submitted', 'started_executing') WITH (
    fillfactor = 40, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_limit = 2000
);
CREATE INDEX tasks_open_due ON tasks_open (due_at, id);
CREATE INDEX tasks_open_outcome_type_id ON tasks_open (outcome, task_type, id);
CREATE UNIQUE INDEX tasks_idempotency_key ON tasks_open (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What has ended, by the time of its end. The partitions are made by the nodes and dropped
-- by retention; what falls into none of them is in the last one. Each of them is like that
-- one: an index of the whole would keep a table with indexes of its own from becoming a part.
CREATE TABLE tasks_ended PARTITION OF tasks (
    CONSTRAINT tasks_ended_status CHECK (status IN ('done', 'failed', 'deleted'))
) FOR VALUES IN ('done', 'failed', 'deleted') PARTITION BY RANGE (finished_at);
CREATE TABLE tasks_ended_default PARTITION OF tasks_ended DEFAULT;
CREATE INDEX tasks_ended_default_id ON tasks_ended_default (id);
CREATE INDEX tasks_ended_default_outcome_type_id ON tasks_ended_default (outcome, task_type, id);
CREATE INDEX tasks_ended_default_idempotency_key ON tasks_ended_default (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Up to when the table as it was holds what ended. There is one row, once that is known.
CREATE TABLE history_cut (at timestamptz NOT NULL, one boolean PRIMARY KEY DEFAULT true CHECK (one));

-- An API of the release before creates through tasks, and knows nothing of what stands beside
-- tasks_open. Its rows are told by a default that only tasks has, so that neither a row that
-- moves nor a create of this release is looked at.
ALTER TABLE ONLY tasks ALTER COLUMN worker_id SET DEFAULT '00000000-0000-0000-0000-000000000000';

-- A create that comes once more under its key is passed by, as one that meets the key in the
-- index is: the API looks up what is there, and its neighbours are created. An API does
-- that for tasks alone. The keys of a batch, which have a space, fail together below.
CREATE FUNCTION create_again() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF position(' ' IN NEW.idempotency_key) = 0 AND EXISTS (
        SELECT FROM tasks t WHERE t.idempotency_key = NEW.idempotency_key AND t.tableoid <> 'tasks_open'::regclass) THEN
        RETURN NULL;
    END IF;
    NEW.worker_id := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER create_again BEFORE INSERT ON tasks_open
    FOR EACH ROW WHEN (NEW.worker_id = '00000000-0000-0000-0000-000000000000') EXECUTE FUNCTION create_again();

-- What ended since is seen after the rows stand in the index, so no end slips by. A create
-- that comes once more leaves the task as it ended; another one under its key begins anew.
CREATE FUNCTION create_once() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE key text;
BEGIN
    DELETE FROM tasks_open o USING created c
    WHERE o.id = c.id AND EXISTS (SELECT FROM tasks t WHERE t.id = c.id AND t.tableoid <> 'tasks_open'::regclass);
    SELECT c.idempotency_key INTO key FROM created c JOIN tasks t ON t.idempotency_key = c.idempotency_key
    WHERE c.idempotency_key IS NOT NULL AND t.id <> c.id AND t.tableoid <> 'tasks_open'::regclass LIMIT 1;
    IF position(' ' IN key) = 0 THEN
        RAISE serialization_failure USING MESSAGE = 'the task of an idempotency key has moved';
    ELSIF FOUND THEN
        RAISE unique_violation USING MESSAGE = 'a task of this idempotency key has ended', CONSTRAINT = 'tasks_idempotency_key';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER create_once AFTER INSERT ON tasks
    REFERENCING NEW TABLE AS created FOR EACH STATEMENT EXECUTE FUNCTION create_once();
