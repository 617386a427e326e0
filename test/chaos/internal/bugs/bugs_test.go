package bugs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/bugs"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

func TestEveryBugStillFitsTheSource(t *testing.T) {
	names := map[string]bool{}
	for _, bug := range bugs.All {
		require.False(t, names[bug.Name], "two bugs are called %q", bug.Name)
		names[bug.Name] = true
		patch, err := bug.Patch()
		require.NoError(t, err)
		require.NoError(t, fits(t, patch, 0), bug.Name)
	}
	require.GreaterOrEqual(t, len(names), 20)
	require.NoError(t, fits(t, "", time.Hour), "a clock that is ahead")
}

func fits(t *testing.T, patch string, ahead time.Duration) error {
	t.Helper()
	root, err := rig.Root(t.Context())
	require.NoError(t, err)
	_, err = rig.WriteOverlay(t.Context(), root, t.TempDir(), patch, ahead)
	return err
}
