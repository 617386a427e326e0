//go:build !chaos

package failpoint

import (
	"time"

	"github.com/google/uuid"
)

// Hit does nothing in this build.
func Hit(string) {}

// Skew returns a fresh id as it is in this build.
func Skew(id uuid.UUID) uuid.UUID { return id }

// Keep returns how long tasks are kept as it is configured in this build.
func Keep(configured time.Duration) time.Duration { return configured }
