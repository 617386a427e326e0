package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// What docs/cli.md shows works as it stands, one block after the other in one shell.
func TestTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	url := stack(t)
	script, keys := []string{"set -euo pipefail"}, ""
	for i, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(guide, -1) {
		if strings.Contains(string(block[1]), "timewheel key ") {
			keys = string(block[1])
			continue
		}
		script = append(script, fmt.Sprintf("echo 'block %d' >&2", i+1), string(block[1]))
	}
	require.Greater(t, len(script), 10)
	newShell(t, url).runs(strings.Join(script, "\n"))
	require.NotEmpty(t, keys)
	guarded(t).runs(keys)
	eachCommand((&cli{out: &output{}}).root(), func(cmd *cobra.Command) {
		require.Contains(t, string(guide), cmd.CommandPath())
	})
}

// guarded is a shell whose API asks for keys, with the first key.
func guarded(t *testing.T) *shell {
	t.Helper()
	t.Setenv("AUTH", "keys")
	sh := newShell(t, stack(t))
	command := exec.CommandContext(t.Context(), "go", "run", "../../services/api", "key", "create", "--name", "first", "--scopes", "admin,read")
	command.Stderr = os.Stderr
	key, err := command.Output()
	require.NoError(t, err)
	sh.env = append(sh.env, "TIMEWHEEL_KEY="+strings.TrimSpace(string(key)))
	return sh
}
