package task_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// Every pair of statuses, also with one that is none.
func TestStatusTransitions(t *testing.T) {
	t.Parallel()
	legal := map[[2]task.Status]bool{
		{task.Submitted, task.Started}: true,
		{task.Submitted, task.Failed}:  true,
		{task.Submitted, task.Deleted}: true,
		{task.Started, task.Done}:      true,
		{task.Started, task.Failed}:    true,
		{task.Started, task.Submitted}: true,
	}
	all := append(task.Statuses(), "", "unheard of")
	met := 0
	for _, from := range all {
		for _, to := range all {
			want := legal[[2]task.Status{from, to}]
			require.Equal(t, want, from.CanBecome(to), "%q to %q", from, to)
			if want {
				met++
			}
		}
	}
	require.Equal(t, len(legal), met)
}

func TestStatusesAreFiveOfWhichThreeAreTerminal(t *testing.T) {
	t.Parallel()
	require.Equal(t, []task.Status{"submitted", "started_executing", "done", "failed", "deleted"}, task.Statuses())
	for status, terminal := range map[task.Status]bool{
		task.Submitted: false, task.Started: false, task.Done: true, task.Failed: true, task.Deleted: true,
	} {
		require.True(t, status.Valid(), status)
		require.Equal(t, terminal, status.Terminal(), status)
	}
	for _, none := range []task.Status{"", "unheard of", "Done", "done "} {
		require.False(t, none.Valid(), none)
		require.False(t, none.Terminal(), none)
	}
}

// A caller that changes its list does not change anybody else's.
func TestStatusesIsACopy(t *testing.T) {
	t.Parallel()
	task.Statuses()[0] = "changed"
	require.Equal(t, task.Submitted, task.Statuses()[0])
}
