package scheduler

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func upsertsOf(names ...string) (u indexUpdate) {
	for _, name := range names {
		u.upserts = append(u.upserts, task.Due{ID: uuid.NewSHA1(uuid.Nil, []byte(name)), Type: name})
	}
	return u
}

// While the server of one type is away, only that type is degraded: another one that failed
// for a moment is not deferred for as long.
func TestOnlyWhatStillFailsIsDeferred(t *testing.T) {
	var d deferred
	require.Equal(t, upsertsOf("a", "b", "c"), d.keep(upsertsOf("a", "b", "c")))
	require.True(t, d.failed(upsertsOf("a", "b"), []string{"a", "b"}), "the caller schedules the next try")
	require.False(t, d.failed(upsertsOf("a"), []string{"a"}))
	require.Equal(t, upsertsOf("c"), d.keep(upsertsOf("a", "b", "c")))

	require.Equal(t, upsertsOf("a", "b"), d.take())
	d.failedAgain(upsertsOf("a"), []string{"a"})
	require.Equal(t, upsertsOf("b", "c"), d.keep(upsertsOf("a", "b", "c")))

	require.Equal(t, upsertsOf("a"), d.take())
	require.True(t, d.take().empty())
	require.Equal(t, upsertsOf("a"), d.keep(upsertsOf("a")), "nothing is degraded any more")
}

// A single server fails for all types at once.
func TestEveryTypeIsDegradedWithItsOnlyServer(t *testing.T) {
	var d deferred
	part, types := upsertsOf("a").unreached(errors.New("away"))
	require.True(t, d.failed(part, types))
	require.True(t, d.keep(upsertsOf("b")).empty())
	require.Equal(t, upsertsOf("a", "b"), d.take())
}

// A task that is moved while Redis is away has several times. The newest holds, whether Redis
// has it or not, and also if an older one comes back from a try that failed.
func TestTheNewestTimeOfATaskHolds(t *testing.T) {
	var d deferred
	require.True(t, d.failed(upsertsOf("a"), []string{everyType}))
	later, gone := upsertsOf("a"), indexUpdate{}
	later.upserts[0].At = time.Unix(1, 0)
	gone.removals = []task.Ref{{ID: later.upserts[0].ID, Type: "a"}}

	d.keep(later)
	require.Equal(t, later, d.take())
	d.keep(gone)
	d.failedAgain(later, []string{everyType})
	require.Equal(t, gone, d.take(), "it was moved beyond the horizon")
	d.failedAgain(gone, []string{everyType})
	d.keep(later)
	require.Equal(t, later, d.take(), "and back")
}
