-- History apart from work, in four migrations (8 to 11), while nodes of the release before
-- go on: docs/upgrade.md has the order, and docs/adr/0013 the reasons.
--
-- This one marks what is there. The default of a new column costs no row a write, and the
-- constraint is looked into by the next migration, beside the work.

-- An autovacuum gives way to the first lock, behind which nobody else waits.
LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '300ms';
LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE;

ALTER TABLE tasks
    ADD COLUMN before_history boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT tasks_before_history CHECK (
        (CASE WHEN before_history THEN 'before' ELSE status END) IS NOT NULL
        AND (CASE WHEN before_history THEN 'before' ELSE status END) = 'before') NOT VALID;
