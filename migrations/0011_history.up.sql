-- The table as it was becomes the oldest part of the history, and what told them apart goes.
-- Nothing is read or written here but what ended in the last moment.
-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

DO $$
BEGIN
    IF EXISTS (SELECT FROM tasks_before) THEN
        IF EXISTS (SELECT FROM tasks_before WHERE outcome = 'open')
           OR NOT EXISTS (SELECT FROM history_cut WHERE at > clock_timestamp()) THEN
            RAISE lock_not_available USING MESSAGE = 'the open tasks have not all been moved';
        END IF;
        UPDATE tasks SET before_history = true
        FROM tasks_ended_default last WHERE tasks.id = last.id AND NOT tasks.before_history;
    END IF;
END $$;

ALTER TABLE tasks DETACH PARTITION tasks_before;
ALTER TABLE tasks DETACH PARTITION tasks_open;
ALTER TABLE tasks DETACH PARTITION tasks_ended;
DROP TABLE tasks;
CREATE TABLE tasks (LIKE tasks_open INCLUDING DEFAULTS INCLUDING GENERATED) PARTITION BY LIST (status);
ALTER TABLE tasks ATTACH PARTITION tasks_open FOR VALUES IN ('submitted', 'started_executing');
ALTER TABLE tasks ATTACH PARTITION tasks_ended FOR VALUES IN ('done', 'failed', 'deleted');
ALTER TABLE tasks_open DROP CONSTRAINT tasks_open_status;
-- The table as it was has no constraint of this name, and could not become a part.
ALTER TABLE tasks_ended DROP CONSTRAINT tasks_ended_status;

DO $$
DECLARE cut timestamptz;
BEGIN
    IF EXISTS (SELECT FROM tasks_before) THEN
        SELECT at INTO cut FROM history_cut;
        DROP INDEX tasks_before_open_due;
        ALTER TABLE tasks_before RENAME TO tasks_ended_before;
        ALTER INDEX tasks_before_pkey RENAME TO tasks_ended_before_pkey;
        ALTER INDEX tasks_before_idempotency_key RENAME TO tasks_ended_before_idempotency_key;
        ALTER INDEX tasks_before_outcome_type_id RENAME TO tasks_ended_before_outcome_type_id;
        EXECUTE format('ALTER TABLE tasks_ended ATTACH PARTITION tasks_ended_before FOR VALUES FROM (MINVALUE) TO (%L)', cut);
        ALTER TABLE tasks_ended_before DROP CONSTRAINT tasks_before_cut;
    ELSE
        DROP TABLE tasks_before;
    END IF;
END $$;
ALTER TABLE tasks DROP COLUMN before_history;
DROP TABLE history_cut;

ALTER TABLE ONLY tasks ALTER COLUMN worker_id SET DEFAULT '00000000-0000-0000-0000-000000000000';
CREATE TRIGGER create_once AFTER INSERT ON tasks
    REFERENCING NEW TABLE AS created FOR EACH STATEMENT EXECUTE FUNCTION create_once();

-- created_again are the ids that were sent once more, since the reply to the first copy was
-- lost. They are kept for as long as ended tasks are, and for an hour at least.
CREATE TABLE created_again (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX created_again_at ON created_again (at);

-- refuse_created_again is true, or fails if one of these ids was sent once more: this is the first
-- copy, and comes late. It is called after the rows stand in the index of the open ones, and
-- sees what was committed until then.
CREATE FUNCTION refuse_created_again(first uuid, last uuid, ids uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM created_again c WHERE c.id BETWEEN first AND last AND (c.id = ANY (ids)) IS TRUE) THEN
        RAISE unique_violation USING MESSAGE = 'a task of this id was created by a later copy', CONSTRAINT = 'tasks_pkey';
    END IF;
    RETURN true;
END $$;

-- refuse_ended fails if a task of these ids or keys has ended that this transaction has created
-- once more, and notes the ids if they have no keys. It comes after the rows stand in the index of the open ones, where none of them
-- can be a second time: what ended before that is seen here, since each statement of a function
-- looks anew. No task of the ids can have ended before since.
CREATE FUNCTION refuse_ended(since timestamptz, first uuid, last uuid, ids uuid[], keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- The ids of one call are neighbours: this is one way down an index, and not one per id.
    IF EXISTS (
        SELECT FROM tasks_ended e
        WHERE e.finished_at >= since AND e.id BETWEEN first AND last AND (e.id = ANY (ids)) IS TRUE
              AND EXISTS (SELECT FROM tasks_open o WHERE o.id = e.id AND o.xmin = pg_current_xact_id()::xid)
    ) OR keys IS NOT NULL AND EXISTS (
        SELECT FROM unnest(keys) k (key) JOIN tasks_ended e ON e.idempotency_key = k.key
        WHERE EXISTS (SELECT FROM tasks_open o WHERE o.idempotency_key = k.key AND o.xmin = pg_current_xact_id()::xid)
    ) THEN
        RAISE unique_violation USING MESSAGE = 'a task of this id or idempotency key has ended', CONSTRAINT = 'tasks_pkey';
    END IF;
    IF keys IS NULL THEN
        INSERT INTO created_again (id) SELECT unnest(ids) ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- history_parts are the partitions of what has ended, but for that of the rest, and their bounds.
CREATE VIEW history_parts AS
SELECT part.oid, part.relname AS name, part.reltuples AS rows,
       coalesce((regexp_match(bound, 'FROM \(''([^'']+)''\)'))[1]::timestamptz, '-infinity') AS lower,
       coalesce((regexp_match(bound, 'TO \(''([^'']+)''\)'))[1]::timestamptz, 'infinity') AS upper
FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid CROSS JOIN pg_get_expr(part.relpartbound, part.oid) AS bound
WHERE inhparent = 'tasks_ended'::regclass AND bound <> 'DEFAULT';

-- first_gap is the first time from one on that no partition is for.
CREATE FUNCTION first_gap(after timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE part record;
BEGIN
    FOR part IN SELECT lower, upper FROM history_parts ORDER BY lower LOOP
        IF part.lower <= after AND after < part.upper THEN after := part.upper; END IF;
    END LOOP;
    RETURN after;
END $$;

-- extend_history makes the next partition, as wide as it is told, unless two of them are
-- ahead of now, and reports whether it did. What ended before there was a partition for it moves
-- there, if that is little: whoever reads the history waits meanwhile.
CREATE FUNCTION extend_history(width interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    ahead timestamptz := clock_timestamp() + 2 * width;
    lo timestamptz;
    hi timestamptz := first_gap(clock_timestamp());
    name text;
    columns text;
BEGIN
    IF hi >= ahead THEN RETURN false; END IF;
    PERFORM set_config('lock_timeout', '100ms', true);
    LOCK TABLE tasks_ended IN SHARE UPDATE EXCLUSIVE MODE; -- another node may do the same
    hi := clock_timestamp();
    LOOP
        lo := first_gap(hi);
        IF lo >= ahead THEN RETURN false; END IF;
        hi := least(date_bin(width, lo, 'epoch') + width, (SELECT min(lower) FROM history_parts WHERE lower > lo));
        lo := greatest(date_bin(width, lo, 'epoch'), (SELECT max(upper) FROM history_parts WHERE upper <= lo));
        EXIT WHEN (SELECT count(*) FROM (SELECT FROM tasks_ended_default WHERE finished_at >= lo AND finished_at < hi LIMIT 20001) few) <= 20000;
    END LOOP;
    name := 'tasks_ended_' || to_char(lo AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISS');
    EXECUTE format('CREATE TABLE %I (LIKE tasks_ended_default INCLUDING ALL) WITH (autovacuum_freeze_min_age = 0)', name);
    LOCK TABLE tasks_ended_default IN ACCESS EXCLUSIVE MODE;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_attribute
    WHERE attrelid = 'tasks_ended_default'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format('WITH gone AS (DELETE FROM tasks_ended_default WHERE finished_at >= %L AND finished_at < %L RETURNING *)
                    INSERT INTO %I (%s) SELECT %s FROM gone', lo, hi, name, columns, columns);
    EXECUTE format('ALTER TABLE tasks_ended ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lo, hi);
    RETURN true;
END $$;

-- drop_history drops the oldest partition whose tasks all ended longer than keep ago, and says
-- about how many they were, or nothing.
CREATE FUNCTION drop_history(keep interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE part record;
BEGIN
    PERFORM set_config('lock_timeout', '100ms', true);
    SELECT oid, rows INTO part FROM history_parts WHERE upper <= clock_timestamp() - keep ORDER BY upper LIMIT 1;
    IF NOT FOUND THEN RETURN NULL; END IF;
    EXECUTE format('DROP TABLE %s', part.oid::regclass);
    RETURN greatest(part.rows, 0)::bigint;
END $$;
