package maintenance_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/task"
)

// lapse lets a session's lease have ended so long ago.
func (f *fixture) lapse(t *testing.T, session uuid.UUID, ago time.Duration) {
	t.Helper()
	f.exec(t, `UPDATE workers SET lease_until = clock_timestamp() - $2::interval WHERE id = $1`, session, ago)
}

func TestReapSettlesAndIndexesWhatMayRunAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	once, again := f.insert(t, 3, -time.Hour, 0), f.insert(t, 3, -time.Hour, 0)
	f.exec(t, `UPDATE tasks SET max_attempts = 2 WHERE id = ANY($1::uuid[])`, again)
	session := f.session(t, parse(t, append(once, again...))...)
	judge := f.session(t)
	k := f.maintainer(func(c *maintenance.Config) {
		c.Grace, c.Lease = time.Minute, never
		c.Judge = func() uuid.UUID { return judge }
	})

	f.lapse(t, session, 2*time.Minute)
	require.NoError(t, k.Reap(t.Context()))
	require.Equal(t, 6, f.count(t, "status = 'started_executing'"), "a session that was opened a moment ago judges nobody")

	f.exec(t, `UPDATE workers SET steady_since = clock_timestamp() - interval '1 day' WHERE id = $1`, judge)
	f.lapse(t, session, 30*time.Second)
	require.NoError(t, k.Reap(t.Context()))
	require.Equal(t, 6, f.count(t, "status = 'started_executing'"), "the grace is not over")

	f.lapse(t, session, 61*time.Second)
	require.NoError(t, k.Reap(t.Context()))
	require.ElementsMatch(t, again, f.indexed(t))
	require.Equal(t, 3, f.count(t, "status = 'submitted'"))
	for _, id := range parse(t, once) {
		lost, err := f.db.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, task.Failed, lost.Status)
		require.Equal(t, task.WorkerLost, lost.Failure.Code)
	}
	claimed := f.ring.Claim(t.Context(), []task.Want{{Type: "foo", Limit: 10}}, never)[0]
	require.NoError(t, claimed.Err)
	require.Empty(t, claimed.IDs)
	require.InDelta(t, time.Second, claimed.Wait, float64(time.Second), "they are due after their backoff")
}

func TestRetainDeletesWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(func(c *maintenance.Config) { c.Retention = time.Hour })
	end := func(ids []string, ago string) {
		// Their ids were made long ago too.
		f.exec(t, `UPDATE tasks SET status = (ARRAY['done', 'failed', 'deleted'])[1 + (random() * 2)::int],
			id = ('00000000-0000-7000-8000-' || right(id::text, 12))::uuid,
			finished_at = clock_timestamp() - $2::interval WHERE id = ANY($1::uuid[])`, ids, ago)
	}
	end(f.insert(t, 2*maintenance.PageSize+500, -never, 0), "61 min")
	end(f.insert(t, 10, -never, 0), "59 min")
	f.insert(t, 10, -never, 0)

	require.NoError(t, k.Retain(t.Context()))
	require.Equal(t, 2*maintenance.PageSize+520, f.count(t, "true"), "this node does not turn the wheel")
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, k.Retain(t.Context()), "once is enough")
	require.Equal(t, 20, f.count(t, "true"))
	require.Equal(t, 10, f.count(t, "status = 'submitted'"))
}
