LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

-- One row per task type: what executes its tasks, and its limits. NULL is no limit, or
-- what the nodes do by default.
--
-- Nothing refers to this table by a foreign key: a create of a type that ships looks at
-- nothing here, since its row cannot be deleted.
CREATE TABLE types (
    name            text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9._-]{0,63}$'),
    handler         text NOT NULL CHECK (handler IN ('builtin', 'webhook', 'lease')),
    webhook         json,
    timeout         interval,
    max_attempts    integer NOT NULL DEFAULT 1 CHECK (max_attempts >= 1),
    retry_delay     interval,
    retry_factor    double precision,
    retry_max_delay interval,
    retry_jitter    double precision,
    max_running     integer CHECK (max_running >= 1),
    rate_per_second double precision CHECK (rate_per_second > 0),
    rate_burst      integer CHECK (rate_burst >= 1),
    paused          boolean NOT NULL DEFAULT false,
    payload_schema  json,
    version         bigint NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((handler = 'webhook') = (webhook IS NOT NULL)),
    CHECK (num_nonnulls(retry_delay, retry_factor, retry_max_delay, retry_jitter) IN (0, 4)),
    CHECK (num_nonnulls(rate_per_second, rate_burst) IN (0, 2))
);

-- The version of all types together, which grows with each change of one, a deletion
-- included. A node that has seen a version has seen every change up to it, which
-- a sequence could not say: its numbers do not commit in order. There is one row.
CREATE TABLE types_version (
    version bigint NOT NULL,
    one     boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO types_version (version) VALUES (1);

INSERT INTO types (name, handler, version)
VALUES ('bar', 'builtin', 1), ('baz', 'builtin', 1), ('foo', 'builtin', 1), ('webhook', 'builtin', 1);

-- What a worker knows: 1 starts whatever is due, 2 holds the types of what it starts. A
-- type is paused or limited only while no worker of 1 lives, and none opens a session
-- while one is: it would start what is paused. The lock waits for the change of a type, and
-- what the function reads after it is later than that.
ALTER TABLE workers ADD COLUMN protocol integer NOT NULL DEFAULT 1;

CREATE FUNCTION refuse_older_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.protocol < 2 THEN
        LOCK TABLE types IN ROW SHARE MODE;
        IF EXISTS (SELECT FROM types WHERE paused OR num_nonnulls(max_running, rate_per_second) > 0) THEN
            RAISE EXCEPTION 'a task type is paused or limited, which this version of the worker does not know'
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_older_workers BEFORE INSERT ON workers
    FOR EACH ROW WHEN (NEW.protocol < 2) EXECUTE FUNCTION refuse_older_workers();

-- How many tasks of a type with max_running a session has running. The starts and ends of a
-- session count in rows of its own, so that no two workers wait for each other; the starts
-- of a type wait for each other at the type's row, and add up what all sessions have.
CREATE TABLE running (
    worker_id uuid NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    task_type text COLLATE "C" NOT NULL,
    n         integer NOT NULL,
    PRIMARY KEY (task_type, worker_id)
);

-- What ran when its type got a max_running, and so was not counted when it started.
CREATE TABLE uncounted (
    task_type text COLLATE "C" NOT NULL,
    task_id   uuid NOT NULL,
    attempt   integer NOT NULL,
    PRIMARY KEY (task_type, task_id)
);

-- The type of a start that counted its tasks. NULL: it counted none.
ALTER TABLE starts ADD COLUMN task_type text;

-- What the leader looks at in each round.
CREATE INDEX types_max_running ON types (name) WHERE max_running IS NOT NULL;
