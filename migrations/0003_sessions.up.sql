-- When a session was renewed last, and since when its renewals had no gap. A
-- session may declare others dead only while it renews its own lease without a
-- gap: after an outage of Postgres every lease is old, and that of a live worker
-- looks like that of a dead one until it is renewed.
ALTER TABLE workers
    ADD COLUMN renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN steady_since timestamptz NOT NULL DEFAULT clock_timestamp();
