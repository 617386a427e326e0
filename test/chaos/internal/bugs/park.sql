-- One create of fifty waits before its first row is inserted, and before each further one,
-- until the task of that id has ended: another copy of the create made it. The wish to cancel that
-- its node sends is lost.
CREATE FUNCTION park() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    choice text := coalesce(current_setting('chaos.parked', true), '');
    until  timestamptz := clock_timestamp() + interval '4 seconds';
BEGIN
    IF choice = '' THEN -- the first row of the transaction decides for all of them
        choice := CASE WHEN random() < 0.02 THEN 'yes' ELSE 'no' END;
        PERFORM set_config('chaos.parked', choice, true);
    END IF;
    WHILE choice = 'yes' AND clock_timestamp() < until AND NOT EXISTS (SELECT FROM tasks_ended WHERE id = NEW.id) LOOP
        BEGIN
            PERFORM pg_sleep(0.02);
        EXCEPTION WHEN query_canceled THEN
            NULL;
        END;
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER park BEFORE INSERT ON tasks_open FOR EACH ROW EXECUTE FUNCTION park();
