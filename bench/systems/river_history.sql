-- The like of timewheel_history.sql.
INSERT INTO river_job (args, kind, max_attempts, state, attempt, attempted_at, created_at, finalized_at, scheduled_at)
SELECT '{"bench": true}', ($2::text[])[1 + i / 4 % 4], 25, state, CASE WHEN ended THEN 1 ELSE 0 END,
       CASE WHEN ended THEN due END, at, CASE WHEN ended THEN due END, due
FROM generate_series(1, $1::int) i
CROSS JOIN LATERAL (SELECT now() - interval '20 hours' + i * interval '18 hours' / $1) AS begin (at)
CROSS JOIN LATERAL (SELECT (ARRAY['completed', 'discarded', 'cancelled', 'scheduled'])[1 + i % 4]::river_job_state) AS s (state)
CROSS JOIN LATERAL (SELECT state <> 'scheduled',
                           CASE state WHEN 'scheduled' THEN at + interval '60 days' ELSE at + interval '1 hour' END) AS run (ended, due)
