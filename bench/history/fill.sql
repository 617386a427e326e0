-- One day of the history, as the services would have left it: :rows tasks that ended on the day
-- :ago days before today, on a database at the newest version:
--   psql -v rows=14285715 -v ago=1 -f fill.sql URL, and so on to ago=7
-- It becomes a partition once it is full and indexed.
BEGIN;
SELECT format('tasks_ended_%s', to_char(day, 'YYYYMMDD"t"HH24MISS')) AS leaf, day, day + interval '1 day' AS until
FROM (SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') - :ago * interval '1 day') AT TIME ZONE 'UTC' AS day) d \gset
CREATE TABLE :leaf (LIKE tasks_ended_default INCLUDING DEFAULTS INCLUDING GENERATED);
INSERT INTO :leaf (id, task_type, status, execution_time, due_at, payload, attempt, worker_id,
	started_at, finished_at, result, failure_code, failure_message, idempotency_key, created_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(word, 1, 3) || '8' || substr(word, 4, 15))::uuid,
       (ARRAY['foo', 'bar', 'baz', 'webhook'])[1 + i % 4], status, due, due, '{"bench": true}',
       CASE status WHEN 'deleted' THEN 0 ELSE 1 END, CASE WHEN status <> 'deleted' THEN '0191b8c0-0000-7000-8000-000000000001'::uuid END,
       CASE WHEN status <> 'deleted' THEN due END, due + interval '2 ms', CASE status WHEN 'done' THEN '{"ok": true}'::json END,
       CASE status WHEN 'failed' THEN 'handler_error' END, CASE status WHEN 'failed' THEN 'it failed' END,
       CASE WHEN i % 10 = 0 THEN 'key-' || word END, at
FROM generate_series(1, :rows) i
CROSS JOIN LATERAL (SELECT :'day'::timestamptz + i * interval '86390 s' / :rows, md5(i || 'of' || :ago)) AS time (due, word)
CROSS JOIN LATERAL (SELECT due - interval '1 hour', CASE WHEN i % 100 < 90 THEN 'done' WHEN i % 100 < 98 THEN 'failed' ELSE 'deleted' END) AS life (at, status);
SELECT format('CREATE INDEX ON %I (id)', :'leaf'), format('CREATE INDEX ON %I (idempotency_key) WHERE idempotency_key IS NOT NULL', :'leaf'),
       format('CREATE INDEX ON %I (outcome, task_type, id)', :'leaf') \gexec
COMMIT;
ALTER TABLE tasks_ended ATTACH PARTITION :leaf FOR VALUES FROM (:'day') TO (:'until');
