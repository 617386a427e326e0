package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) {
		http.DefaultClient.CloseIdleConnections()
	}), goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// TestShortRun is the whole suite in small: a fault a second, and every checker.
func TestShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds binaries, starts stores of its own and takes most of a minute")
	}
	s := defaults()
	s.rig.Seed = 20
	s.rig.Workers, s.rig.Types = 3, 4
	s.duration, s.load.Rate, s.every = 25*time.Second, 150, 500*time.Millisecond
	s.dir = t.TempDir()

	verdict, err := s.play(t.Context(), t.Output(), func(ctx context.Context, r *rig.Rig) error {
		return fault.Schedule(ctx, r, s.every, s.faults)
	})
	if missing, ok := errors.AsType[*stores.MissingError](err); ok {
		t.Skip(missing.Error())
	}
	require.NoError(t, err)
	require.Empty(t, verdict.Found)
	// A run in which nothing happened proves nothing.
	require.Greater(t, verdict.Counts["executions"], 1000)
	require.Greater(t, verdict.Counts["faults"], 5)
}
