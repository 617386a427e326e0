-- What acts on all tasks that match a filter. before is the place of its walk, which goes from the
-- newest id to the oldest: whoever acts on a page moves it in the same statement. remaining is
-- NULL until it is known. types are
-- prefixes of the names of the types that it may touch, NULL is all, and made_by is the key that asked for it.
SET LOCAL lock_timeout = '300ms';
CREATE TABLE operations (
    id             uuid PRIMARY KEY,
    key            text UNIQUE,
    action         text NOT NULL CHECK (action IN ('delete', 'reschedule', 'run', 'retry', 'cancel')),
    filter         jsonb NOT NULL,
    execution_time timestamptz,
    shift          interval,
    dry_run        boolean NOT NULL,
    types          text[],
    made_by        uuid,
    state          text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'stopped', 'failed')),
    before         uuid NOT NULL DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    done           bigint NOT NULL DEFAULT 0,
    skipped        bigint NOT NULL DEFAULT 0,
    remaining      bigint,
    samples        jsonb NOT NULL DEFAULT '[]',
    failure        text,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at     timestamptz,
    finished_at    timestamptz
) WITH (fillfactor = 50);
CREATE INDEX operations_active ON operations (id) WHERE finished_at IS NULL;
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
