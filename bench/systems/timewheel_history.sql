-- Rows as the services would have left them over the last five days. The ids are of
-- version 7 and older than any that is made now; the statuses and types are spread
-- evenly and independently.
INSERT INTO tasks (id, task_type, status, execution_time, due_at, payload, attempt, worker_id,
	started_at, finished_at, failure_code, failure_message, created_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3)
        || '8' || substr(md5(i::text), 4, 15))::uuid,
       ($2::text[])[1 + i / 4 % 4], status, due, due, '{"bench": true}',
       CASE WHEN ran THEN 1 ELSE 0 END, CASE WHEN ran THEN gen_random_uuid() END,
       CASE WHEN ran THEN due END, CASE WHEN status <> 'submitted' THEN due END,
       CASE WHEN status = 'failed' THEN 'handler_error' END, CASE WHEN status = 'failed' THEN 'it failed' END, at
FROM generate_series(1, $1::int) i
CROSS JOIN LATERAL (SELECT now() - interval '6 days' + i * interval '5 days' / $1) AS begin (at)
CROSS JOIN LATERAL (SELECT (ARRAY['done', 'failed', 'deleted', 'submitted'])[1 + i % 4]) AS state (status)
CROSS JOIN LATERAL (SELECT status IN ('done', 'failed'),
                           CASE status WHEN 'submitted' THEN at + interval '60 days' ELSE at + interval '1 hour' END) AS run (ran, due)
