package fault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

func TestEveryFaultCanBeDone(t *testing.T) {
	t.Parallel()
	for i, kind := range []string{rig.Single, rig.Sentinel, rig.Cluster, rig.Single} {
		keep := time.Duration(i/3) * 5 * time.Second // the last one drops what has ended
		names := map[string]bool{}
		for _, f := range fault.All(rig.Config{Redis: kind, Disk: 100, Lease: 3, Outage: 12, Retention: keep}) {
			require.False(t, names[f.Name], "two faults are called %q", f.Name)
			names[f.Name] = true
			require.NotNil(t, f.Do, f.Name)
			require.True(t, f.Undo != nil || f.Max == 0, "%q lasts, and is not undone", f.Name)
		}
		require.Greater(t, len(names), 45, kind)
	}
}
