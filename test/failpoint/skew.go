//go:build chaos

package failpoint

import (
	"cmp"
	"encoding/binary"
	"os"
	"time"

	"github.com/google/uuid"
)

// skew is how far this process' clock is off, by CHAOS_CLOCK. Ids are the only
// thing that is made from a node's wall clock.
var skew = func() time.Duration {
	off, err := time.ParseDuration(cmp.Or(os.Getenv("CHAOS_CLOCK"), "0s"))
	giveUp("CHAOS_CLOCK", err)
	return off
}()

// Skew makes of a fresh id (UUID version 7) the one that this process would
// have made if its clock were off. The time is the first 48 bits, in milliseconds.
func Skew(id uuid.UUID) uuid.UUID {
	head := binary.BigEndian.Uint64(id[:8])
	head += uint64(skew.Milliseconds()) << 16 //nolint:gosec // G115: it wraps round for a clock that is behind.
	binary.BigEndian.PutUint64(id[:8], head)
	return id
}
