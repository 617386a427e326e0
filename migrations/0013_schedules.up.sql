-- What makes tasks again and again. revision grows with each change of a row; whoever makes
-- occurrences names the one that they were computed at. made_until is up to where occurrences
-- were made or skipped, and next_at the next one: NULL, there is none.
SET LOCAL lock_timeout = '300ms';
CREATE TABLE schedules (
    name                text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9._-]{0,63}$'),
    cron                text,
    every               interval,
    time_zone           text NOT NULL,
    starts_at           timestamptz,
    ends_at             timestamptz,
    jitter              interval NOT NULL,
    catch_up            text NOT NULL CHECK (catch_up IN ('none', 'last', 'all')),
    overlap             text NOT NULL CHECK (overlap IN ('allow', 'skip')),
    paused              boolean NOT NULL,
    task_type           text NOT NULL,
    payload             json,
    max_attempts        integer CHECK (max_attempts >= 1),
    revision            bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_until          timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at             timestamptz,
    last_task           uuid,
    skipped_late        bigint NOT NULL DEFAULT 0,
    skipped_overlap     bigint NOT NULL DEFAULT 0,
    skipped_changed     bigint NOT NULL DEFAULT 0,
    last_skipped_at     timestamptz,
    last_skipped_reason text,
    CHECK ((cron IS NULL) <> (every IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX schedules_next ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedules_type ON schedules (task_type);

-- The tasks that were made and may not have started yet.
CREATE TABLE occurrences (
    schedule text COLLATE "C" NOT NULL,
    at       timestamptz NOT NULL,
    task_id  uuid NOT NULL,
    PRIMARY KEY (schedule, at)
);
CREATE INDEX occurrences_at ON occurrences (at);
