package scheduler_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestCancelAndRetry(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	waits, runs := f.create(t, s, draft(soon)), f.create(t, s, draft(-soon))
	f.session(t, runs)
	require.NoError(t, f.ring.Remove(t.Context(), []task.Ref{{ID: runs, Type: "foo"}}))
	f.requireIndexed(t, []string{waits.String()})
	cancelled, err := s.Cancel(t.Context(), waits)
	require.NoError(t, err)
	require.Equal(t, task.Deleted, cancelled.Status)
	f.requireIndexed(t, nil)
	cancelled, err = s.Cancel(t.Context(), runs)
	require.NoError(t, err)
	require.Equal(t, task.Started, cancelled.Status)
	_, err = s.Cancel(t.Context(), waits)
	require.ErrorAs(t, err, new(*task.StatusError))
	made, err := s.Retry(t.Context(), waits, "k")
	require.NoError(t, err)
	f.requireIndexed(t, []string{made.ID.String()})
	again, err := s.Retry(t.Context(), waits, "k")
	require.NoError(t, err)
	require.Equal(t, made, again)
	_, err = s.Cancel(t.Context(), uuid.New())
	require.ErrorIs(t, err, task.ErrNotFound)
}

// The wish is stored: nobody has to hear of it for the answer.
func TestCancelWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	s := scheduler.New(f.db, f.ring, horizon, f.log)
	id := f.create(t, s, draft(-soon))
	f.session(t, id)
	require.NoError(t, server.Stop())
	cancelled, err := s.Cancel(t.Context(), id)
	require.NoError(t, err)
	require.NotZero(t, cancelled.CancelRequestedAt)
}
