//go:build chaos

package failpoint

import (
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
)

// skew is how far this process' clock is off, by CHAOS_CLOCK. Ids are the only
// thing that is made from a node's wall clock.
var skew = func() time.Duration {
	text := os.Getenv("CHAOS_CLOCK")
	if text == "" {
		return 0
	}
	off, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "CHAOS_CLOCK:", err)
		os.Exit(2)
	}
	return off
}()

// Skew makes of a fresh id (UUID version 7) the one that this process would
// have made if its clock were off.
func Skew(id uuid.UUID) uuid.UUID {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	ms += skew.Milliseconds()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i))) //nolint:gosec // G115: one byte at a time is meant.
	}
	return id
}
