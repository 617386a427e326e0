//go:build chaos

package failpoint

import (
	"os"
	"time"
)

// keep is how long tasks are kept in place of what was configured, by CHAOS_RETENTION.
var keep = func() (keep time.Duration) {
	text := os.Getenv("CHAOS_RETENTION")
	if text == "" {
		return 0
	}
	keep, err := time.ParseDuration(text)
	giveUp("CHAOS_RETENTION", err)
	return keep
}()

// Keep is how long this process keeps tasks that have ended. What is configured is no less
// than a minute, which is longer than any copy of a create may still be under way; a run
// of the fault suite would not live to see it.
func Keep(configured time.Duration) time.Duration {
	if keep > 0 {
		return keep
	}
	return configured
}
