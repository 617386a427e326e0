package fault_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

func TestEveryFaultCanBeDone(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{rig.Single, rig.Sentinel, rig.Cluster} {
		names := map[string]bool{}
		for _, f := range fault.All(rig.Config{Redis: kind, Disk: 100, Lease: 3, Outage: 12}) {
			require.False(t, names[f.Name], "two faults are called %q", f.Name)
			names[f.Name] = true
			require.NotNil(t, f.Do, f.Name)
			require.True(t, f.Undo != nil || f.Max == 0, "%q lasts, and is not undone", f.Name)
		}
		require.Greater(t, len(names), 45, kind)
	}
}
