package postgres

// attemptsLeft is whether a task may be attempted again.
const attemptsLeft = `t.attempt < t.max_attempts`

// attemptBackoff is how long a task waits for its next attempt: twice as long with each
// one, from a second to an hour, and a fifth more or less by chance, so that what
// failed together does not come back together.
const attemptBackoff = `make_interval(secs => least(3600, 2 ^ (t.attempt - 1)) * (0.8 + 0.4 * random()))`

// endedAs sets the columns of a task t whose attempt has ended: it becomes status, or it
// is submitted again if the condition again holds.
func endedAs(status, again string) string {
	return `status = CASE WHEN ` + again + ` THEN 'submitted' ELSE ` + status + ` END,
			due_at = CASE WHEN ` + again + ` THEN clock_timestamp() + ` + attemptBackoff + ` ELSE t.due_at END,
			started_at = CASE WHEN ` + again + ` THEN NULL ELSE t.started_at END,
			finished_at = CASE WHEN ` + again + ` THEN NULL ELSE clock_timestamp() END`
}
