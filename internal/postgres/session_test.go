package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

func TestRegisterAndRenewSetTheLeaseByPostgresClock(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := uuid.New()
	within := func(want time.Duration) {
		t.Helper()
		require.Equal(t, 1, f.count(t, `SELECT count(*) FROM workers WHERE id = $1 AND host = 'host' AND dead_at IS NULL
			AND lease_until - clock_timestamp() BETWEEN $2::interval - interval '30 s' AND $2::interval`, session, want))
	}
	require.ErrorIs(t, f.Renew(t.Context(), session, time.Hour), task.ErrSessionLost, "unknown")
	require.NoError(t, f.Register(t.Context(), session, "host", time.Minute))
	within(time.Minute)
	require.NoError(t, f.Renew(t.Context(), session, time.Hour))
	within(time.Hour)
	require.NoError(t, f.Register(t.Context(), session, "host", 2*time.Hour), "a reply was lost")
	within(2 * time.Hour)
	f.lapse(t, session, time.Minute)
	require.NoError(t, f.Renew(t.Context(), session, time.Hour), "lapsed is not dead")
	within(time.Hour)
}

// startInFlight leaves a call of Start with its session's row locked and its
// transaction open, until the test commits.
func startInFlight(t *testing.T, f *fixture, session uuid.UUID, ids []task.ID) (finish func() []task.Task) {
	t.Helper()
	commit := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, ids[len(ids)-1])
	var started []task.Task
	var call errgroup.Group
	call.Go(func() (err error) {
		started, _, err = f.Start(t.Context(), session, f.seq.Add(1), everyType, ids)
		return err
	})
	f.awaitBlocked(t, 1)
	return func() []task.Task {
		t.Helper()
		commit()
		require.NoError(t, call.Wait())
		return started
	}
}

func TestRenewDoesNotWaitForAStartInFlight(t *testing.T) {
	t.Parallel()
	f := open(t)
	session, ids := f.session(t), f.tasks(t, 3, 1)
	finish := startInFlight(t, f, session, ids)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, f.Renew(ctx, session, lease))
	require.Equal(t, 1, f.blocked(t), "the start is still in flight")
	require.Len(t, finish(), 3)
}

// A start that was permitted holds its session: the reaper passes it by, and
// finds what it started the next time.
func TestReapPassesByASessionWithAStartInFlight(t *testing.T) {
	t.Parallel()
	f := open(t)
	session, ids := f.session(t), f.tasks(t, 3, 1)
	finish := startInFlight(t, f, session, ids)
	f.lapse(t, session, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.Equal(t, task.Reaped{}, f.reap(t, f.DB))
	require.Equal(t, task.Reaped{}, must(f.End(ctx, session))(t))
	require.Equal(t, 1, f.blocked(t), "the start is still in flight")
	require.Len(t, finish(), 3)
	require.Equal(t, task.Reaped{Sessions: 1, Failed: 3}, f.reap(t, f.DB))
}

// A session that is being buried permits no start, although the mark is not
// yet committed when the start asks.
func TestStartWaitsForTheReaperAndIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	session, ids := f.session(t), f.tasks(t, 3, 1)
	commit := f.hold(t, `
		WITH locked AS MATERIALIZED (
			SELECT id FROM workers WHERE id = $1 ORDER BY id FOR UPDATE SKIP LOCKED
		)
		UPDATE workers SET dead_at = clock_timestamp() FROM locked WHERE workers.id = locked.id`, session)
	var started []task.Task
	var call errgroup.Group
	call.Go(func() (err error) {
		started, _, err = f.Start(t.Context(), session, 1, everyType, ids)
		return err
	})
	f.awaitBlocked(t, 1)
	commit()
	require.NoError(t, call.Wait())
	require.Empty(t, started)
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'submitted' AND attempt = 0`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM starts`))
}

// A renewal that waits for the reaper's mark does not bring the session back.
func TestRenewWaitsForTheReaperAndIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.session(t)
	commit := f.hold(t, `UPDATE workers SET dead_at = clock_timestamp() WHERE id = $1`, session)
	var call errgroup.Group
	call.Go(func() error { return f.Renew(t.Context(), session, lease) })
	f.awaitBlocked(t, 1)
	commit()
	require.ErrorIs(t, call.Wait(), task.ErrSessionLost)
}
