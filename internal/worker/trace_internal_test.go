package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// Whoever makes no traces does not pay for them.
func TestAttemptWithoutTracingAllocatesNothingForIt(t *testing.T) {
	w := &Worker{}
	a := &attempt{task: &task.Task{Type: "foo", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		w.startSpan(a)
		_ = a.handlerContext()
		a.endSpan("done")
	}))
	require.Same(t, &a.ctx, a.handlerContext())
}
