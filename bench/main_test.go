package main

import (
	"bytes"
	"flag"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/bench/work"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// They end by themselves a moment after the connections that they watch.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
	)
}

// Everything that a real run measures, with a few hundred tasks each.
func TestEveryMeasurementOfEverySystem(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	results, err := work.Run(t.Context(), work.Options{
		Scale: work.Smoke, Rounds: 1, Systems: []string{"timewheel", "asynq", "River"}, Out: io.MultiWriter(&out, t.Output()),
	})
	require.NoError(t, err, out.String())
	require.Empty(t, results.Failures)
	require.Equal(t, []string{"timewheel", "asynq", "River"}, results.Systems)
	for _, series := range results.Series {
		require.Len(t, series.Values, 1, "%+v", series)
	}
	measured := map[string]map[string]bool{}
	for _, series := range results.Series {
		letter := series.Section[:1]
		if measured[letter] == nil {
			measured[letter] = map[string]bool{}
		}
		measured[letter][series.System] = true
	}
	for _, letter := range []string{"a", "c", "d", "e", "f", "g", "h"} {
		require.Len(t, measured[letter], 3, "section %s: %v\n%s", letter, measured[letter], out.String())
	}

	dir := filepath.Join(t.TempDir(), "results")
	require.NoError(t, results.Write(dir))
	for _, name := range []string{"latest.md", "latest.json", "latest.svg"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
}

func TestSweepChoosesOneSettingForEachPurpose(t *testing.T) {
	t.Parallel()
	results, err := work.Run(t.Context(), work.Options{
		Scale: work.Smoke, Sections: "c", Rounds: 1, Sweep: true, Systems: []string{"timewheel"}, Out: t.Output(),
	})
	require.NoError(t, err)
	require.Empty(t, results.Failures)
	chosen := map[string]int{}
	for _, trial := range results.Trials {
		if trial.Chosen {
			chosen[trial.Purpose]++
		}
	}
	require.Equal(t, map[string]int{"rate": 1, "lateness, p99": 1}, chosen)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-quick"})
	require.NoError(t, err)
	require.Equal(t, work.Quick, o.Scale)
	require.Equal(t, 1, o.Rounds)
	require.False(t, o.Sweep)

	o, err = parse([]string{"--only", "c,d", "--rounds", "5", "--rows", "10000000", "--systems", "river"})
	require.NoError(t, err)
	require.Equal(t, "cd", o.Sections)
	require.Equal(t, 5, o.Rounds)
	require.Equal(t, []string{"timewheel", "river"}, o.Systems)
	require.Contains(t, o.Scale.Growth, 10_000_000)

	for _, bad := range [][]string{{"--only", "x"}, {"--rounds", "-1"}, {"word"}, {"--quick", "--full"}, {"--nonsense"}} {
		_, err := parse(bad)
		require.ErrorIs(t, err, errCommandLine, "%v", bad)
	}
	_, err = parse([]string{"--help"})
	require.ErrorIs(t, err, flag.ErrHelp)
}
