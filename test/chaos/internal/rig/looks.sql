-- tasks have not ended that were due at the last fault
SELECT count(*) FROM tasks WHERE outcome = 'open' AND due_at < @calm

-- tasks are overdue
SELECT count(*) FROM tasks
WHERE outcome = 'open' AND status = 'submitted' AND due_at < clock_timestamp() - interval '1 second'

-- tasks are running for sessions that are dead
SELECT count(*) FROM tasks JOIN workers ON workers.id = worker_id
WHERE status = 'started_executing' AND (dead_at IS NOT NULL OR lease_until < clock_timestamp() - interval '3 seconds')

-- receipts of dead sessions are left
SELECT count(*) FROM starts JOIN workers ON workers.id = worker_id WHERE dead_at IS NOT NULL

-- receipts are left although all of their tasks have ended
SELECT count(*) FROM starts JOIN workers ON workers.id = worker_id
WHERE NOT EXISTS (SELECT FROM tasks WHERE id = ANY(task_ids) AND outcome = 'open')
AND lease_until < clock_timestamp() - interval '3 seconds'

-- tasks inside the horizon are not in redis
SELECT count(*) FROM tasks WHERE outcome = 'open' AND status = 'submitted'
AND due_at BETWEEN clock_timestamp() + interval '1 second' AND clock_timestamp() + @horizon::interval - interval '3 seconds'
AND id NOT IN (SELECT unnest(@ids::text[])::uuid)

-- ids in redis name tasks that wait no more
SELECT count(*) FROM unnest(@ids::text[]) AS ring (member) LEFT JOIN tasks ON id = member::uuid
WHERE tasks.id IS NULL OR status IN ('done', 'failed', 'deleted')
AND coalesce(finished_at, '-infinity') < clock_timestamp() - interval '1 second'
