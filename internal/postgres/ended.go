package postgres

// attemptsLeft is whether a task may be attempted again. A wish to cancel it outlives the
// attempt, so a task that is submitted never has one.
const attemptsLeft = `t.attempt < t.max_attempts AND t.cancel_requested_at IS NULL`

// attemptBackoff is how long a task waits for its next attempt, as itself or its type says. By default
// that is twice as long with each one, from a second to an hour, and a fifth more or less by
// chance, so that what failed together does not come back together.
const attemptBackoff = `(
				SELECT make_interval(secs => least(coalesce((t.retry->>'max_delay')::float8, extract(epoch FROM retry_max_delay)::float8, 3600),
				           coalesce((t.retry->>'delay')::float8, extract(epoch FROM retry_delay)::float8, 1)
				           * coalesce((t.retry->>'factor')::float8, retry_factor, 2) ^ (t.attempt - 1))
				       * (1 + coalesce((t.retry->>'jitter')::float8, retry_jitter, 0.2) * (2 * random() - 1)))
				FROM (VALUES (1)) one LEFT JOIN types ON types.name = t.task_type)`

// endedAs sets the columns of a task t whose attempt has ended: it becomes status, or it
// is submitted again if the condition again holds. That attempt, which is not the last, is kept
// with the task, and how it failed are the texts code and message.
func endedAs(status, again, code, message string) string {
	return `earlier_attempts = CASE WHEN ` + again + ` THEN coalesce(t.earlier_attempts, '[]') || jsonb_build_array(jsonb_build_object(
				'attempt', t.attempt, 'started_at', t.started_at, 'ended_at', clock_timestamp(), 'worker_id', t.worker_id,
				'code', ` + code + `, 'message', ` + message + `)) ELSE t.earlier_attempts END,
			status = CASE WHEN ` + again + ` THEN 'submitted' ELSE ` + status + ` END,
			due_at = CASE WHEN ` + again + ` THEN clock_timestamp() + ` + attemptBackoff + ` ELSE t.due_at END,
			started_at = CASE WHEN ` + again + ` THEN NULL ELSE t.started_at END,
			finished_at = CASE WHEN ` + again + ` THEN NULL ELSE clock_timestamp() END`
}
