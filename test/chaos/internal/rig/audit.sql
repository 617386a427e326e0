-- What every change of a task was, written in the transaction that made it.
CREATE TABLE witnessed (
    seq          bigserial PRIMARY KEY,
    task         uuid NOT NULL,
    old_status   text NOT NULL,
    new_status   text NOT NULL,
    attempt      integer NOT NULL,
    max_attempts integer NOT NULL,
    worker       uuid,
    process      text,
    session_dead boolean NOT NULL,
    failure      text NOT NULL,
    due          timestamptz NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    tx           xid8 NOT NULL DEFAULT pg_current_xact_id()
);
-- A move waits for its second half: there are few of them at a time.
CREATE INDEX witnessed_moving ON witnessed (task) WHERE new_status = '';

-- What has ended, as it was when it did. Retention does not reach it. An id may be in it twice:
-- that is for the checkers to find.
CREATE TABLE archive AS TABLE tasks_ended WITH NO DATA;

-- noted is what a change says of the session that it names. Retention deletes dead sessions too.
CREATE FUNCTION noted(session uuid, OUT dead boolean, OUT process text) LANGUAGE sql AS $$
    SELECT coalesce(bool_or(dead_at IS NOT NULL), false), min(substring(host FROM '[0-9]+$')) FROM workers WHERE id = session
$$;

CREATE FUNCTION audit_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE now record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO witnessed (task, old_status, new_status, attempt, max_attempts, worker, session_dead, failure, due)
        VALUES (NEW.id, '', NEW.status, NEW.attempt, NEW.max_attempts, NEW.worker_id, false, '', NEW.due_at);
    ELSIF TG_OP = 'DELETE' THEN
        -- The first half of a move. Without the second, the row is gone.
        INSERT INTO witnessed (task, old_status, new_status, attempt, max_attempts, worker, session_dead, failure, due)
        VALUES (OLD.id, OLD.status, '', OLD.attempt, OLD.max_attempts, OLD.worker_id, false, '', OLD.due_at);
    ELSE
        SELECT * INTO now FROM noted(NEW.worker_id);
        INSERT INTO witnessed (task, old_status, new_status, attempt, max_attempts, worker, process, session_dead, failure, due)
        VALUES (NEW.id, OLD.status, NEW.status, NEW.attempt, NEW.max_attempts, NEW.worker_id, now.process, now.dead,
                coalesce(NEW.failure_code, ''), OLD.due_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_open AFTER INSERT OR UPDATE OR DELETE ON tasks_open
    FOR EACH ROW EXECUTE FUNCTION audit_open();

-- An end is the second half of a move, by the same transaction. What ended without having been
-- open, or ends again, is a change of its own, which no checker takes for a right one.
CREATE FUNCTION audit_ended() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE now record;
BEGIN
    SELECT * INTO now FROM noted(NEW.worker_id);
    UPDATE witnessed SET new_status = NEW.status, attempt = NEW.attempt, worker = NEW.worker_id, process = now.process,
        session_dead = now.dead, failure = coalesce(NEW.failure_code, ''), at = clock_timestamp()
    WHERE TG_OP = 'INSERT' AND task = NEW.id AND new_status = '' AND tx = pg_current_xact_id();
    IF NOT FOUND THEN
        INSERT INTO witnessed (task, old_status, new_status, attempt, max_attempts, worker, process, session_dead, failure, due)
        VALUES (NEW.id, '', NEW.status, NEW.attempt, NEW.max_attempts, NEW.worker_id, now.process, now.dead,
                coalesce(NEW.failure_code, ''), NEW.due_at);
    END IF;
    INSERT INTO archive SELECT NEW.*;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_ended AFTER INSERT OR UPDATE ON tasks_ended
    FOR EACH ROW EXECUTE FUNCTION audit_ended();
