-- Every state is named, as the index wants it.
SELECT NOT EXISTS (
	SELECT FROM unnest('{available,running,retryable,scheduled}'::river_job_state[]) AS waiting (state)
	CROSS JOIN LATERAL (
		SELECT FROM river_job
		WHERE river_job.state = waiting.state AND queue = 'default' AND priority = 1 AND scheduled_at <= now()
		ORDER BY scheduled_at LIMIT 1) AS job)
