-- What every change of a task was, written in the transaction that made it.
CREATE TABLE audit (
    seq          bigserial PRIMARY KEY,
    task         uuid NOT NULL,
    old_status   text NOT NULL,
    new_status   text NOT NULL,
    attempt      integer NOT NULL,
    max_attempts integer NOT NULL,
    worker       uuid,
    session_dead boolean NOT NULL,
    failure      text NOT NULL,
    due          timestamptz NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION audit_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit (task, old_status, new_status, attempt, max_attempts, worker, session_dead, failure, due)
        VALUES (NEW.id, '', NEW.status, NEW.attempt, NEW.max_attempts, NEW.worker_id, false, '', NEW.due_at);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO audit (task, old_status, new_status, attempt, max_attempts, worker, session_dead, failure, due)
        VALUES (OLD.id, OLD.status, '', OLD.attempt, OLD.max_attempts, OLD.worker_id, false, '', OLD.due_at);
    ELSE
        INSERT INTO audit (task, old_status, new_status, attempt, max_attempts, worker, session_dead, failure, due)
        VALUES (NEW.id, OLD.status, NEW.status, NEW.attempt, NEW.max_attempts, NEW.worker_id,
                EXISTS (SELECT FROM workers WHERE id = NEW.worker_id AND dead_at IS NOT NULL),
                coalesce(NEW.failure_code, ''), OLD.due_at);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER audit_task AFTER INSERT OR UPDATE OR DELETE ON tasks
    FOR EACH ROW EXECUTE FUNCTION audit_task();
