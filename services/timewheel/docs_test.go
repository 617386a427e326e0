package main

import (
	"fmt"
	"os"
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
	routes := newRoutes(t, url)
	script := []string{"set -euo pipefail"}
	for i, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(guide, -1) {
		if !routes.know(string(block[1])) {
			continue
		}
		script = append(script, fmt.Sprintf("echo 'block %d' >&2", i+1), string(block[1]))
	}
	require.Greater(t, len(script), 10)
	code, out, errOut := newShell(t, url).types(strings.Join(script, "\n"))
	require.Zero(t, code, "%s\n%s", out, errOut)
	eachCommand((&cli{out: &output{}}).root(), func(cmd *cobra.Command) {
		require.Contains(t, string(guide), cmd.CommandPath())
	})
}
