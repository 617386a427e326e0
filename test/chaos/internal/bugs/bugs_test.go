package bugs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/bugs"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

func TestEveryBugStillFitsTheSource(t *testing.T) {
	root, err := rig.Root(t.Context())
	require.NoError(t, err)
	names := map[string]bool{}
	for _, bug := range bugs.All() {
		require.False(t, names[bug.Name], "two bugs are called %q", bug.Name)
		names[bug.Name] = true
		for _, m := range bug.Change {
			text, err := os.ReadFile(filepath.Join(root, m.File))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(text), m.Old), "%s: %s", bug.Name, m.Old)
			require.NotEqual(t, m.Old, m.New, bug.Name)
		}
	}
	require.GreaterOrEqual(t, len(names), 12)
}
