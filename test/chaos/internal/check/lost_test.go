package check_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/check"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// A worker that was down for its lease, or is gone, may lose its tasks; one that was
// not may not, whatever became of the stores.
func TestWorkerLostNeedsALostWorker(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	started := history.Event{At: at(0), What: history.Started, To: "worker-1", Detail: "17"}
	for name, c := range map[string]struct {
		events []history.Event
		found  int
	}{
		"nothing":             {nil, 1},
		"postgres was away":   {[]history.Event{{At: at(1), What: "fault", To: "postgres is paused"}}, 1},
		"it was killed":       {[]history.Event{{At: at(2), What: history.Ended, To: "worker-1", Detail: "signal: killed"}}, 0},
		"it was killed later": {[]history.Event{{At: at(30), What: history.Ended, To: "worker-1"}}, 1},
		"another one was":     {[]history.Event{{At: at(2), What: history.Ended, To: "worker-2"}}, 1},
		"it drained":          {[]history.Event{{At: at(8), What: history.ToldToStop, To: "worker-1", Detail: "17"}}, 0},
		"it stands still":     {[]history.Event{{At: at(2), What: history.Stopped, To: "worker-1", Detail: "17"}}, 0},
		"for a moment": {[]history.Event{
			{At: at(2), What: history.Stopped, To: "worker-1", Detail: "17"},
			{At: at(4), What: history.Continued, To: "worker-1", Detail: "17"},
		}, 1},
		"at a failpoint": {[]history.Event{{At: at(9), What: history.Continued, To: "worker-1", Detail: "17"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session, id := uuid.New(), uuid.New()
			h := &check.History{
				Settled: &history.Settled{},
				Lease:   3 * time.Second,
				Events:  append([]history.Event{started}, c.events...),
				Transitions: map[uuid.UUID][]history.Transition{id: {
					{Task: id, From: "submitted", To: "started_executing", Worker: session, Process: "17", At: at(1)},
					{Task: id, From: "started_executing", To: "failed", Worker: session, Process: "17", Failure: "worker_lost", At: at(10)},
				}},
			}
			v := check.All(h)
			require.Len(t, v.Found[check.Lost], c.found)
			require.Equal(t, 1, v.Counts["worker_lost"])
		})
	}
}
