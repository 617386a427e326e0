package model

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	deep   = flag.Bool("deep", false, "explore the large models too (minutes, and gigabytes)")
	update = flag.Bool("update", false, "write the tables of docs/model.md anew")
)

const document = "../../docs/model.md"

// The explorations. The race detector has nothing to find in a search of one
// goroutine and makes it ten times slower, so with it the small ones have to do.
var (
	small = []Config{
		{Tasks: 1, Workers: 3, Faults: 2, MaxAttempts: 1},
		{Tasks: 1, Workers: 3, Faults: 2, MaxAttempts: 2},
		{Tasks: 2, Workers: 2, Faults: 1, MaxAttempts: 1},
		{Tasks: 1, Workers: 2, Faults: 1, MaxAttempts: 2, Pause: true},
		{Tasks: 1, Workers: 2, Faults: 1, MaxAttempts: 1, Changes: true},
		{Tasks: 1, Workers: 2, Faults: 1, MaxAttempts: 2, Changes: true},
	}
	medium = []Config{
		{Tasks: 1, Workers: 3, Faults: 4, MaxAttempts: 2},
		{Tasks: 2, Workers: 3, Faults: 1, MaxAttempts: 2},
		{Tasks: 2, Workers: 3, Faults: 2, MaxAttempts: 1},
		{Tasks: 1, Workers: 3, Faults: 2, MaxAttempts: 2, Changes: true},
	}
	large = []Config{
		{Tasks: 2, Workers: 3, Faults: 2, MaxAttempts: 2},
		{Tasks: 2, Workers: 3, Faults: 3, MaxAttempts: 1},
	}
)

func explorations() []Config {
	configs := append([]Config(nil), small...)
	if !raceEnabled {
		configs = append(configs, medium...)
	}
	if *deep {
		configs = append(configs, large...)
	}
	return configs
}

func TestModelHolds(t *testing.T) {
	var rows []string
	for _, cfg := range explorations() {
		r := Explore(cfg)
		t.Logf("%+v: %d states, %d moves", cfg, r.States, r.Moves)
		require.Empty(t, r.Broken, "%+v:\n%s", cfg, strings.Join(r.Trace, "\n"))
		attempts := strconv.Itoa(cfg.MaxAttempts)
		if cfg.Pause {
			attempts += ", and a pause"
		}
		if cfg.Changes {
			attempts += ", and changes"
		}
		rows = append(rows, fmt.Sprintf("| %d | %d | %d | %s | %d | %d |\n",
			cfg.Tasks, cfg.Workers, cfg.Faults, attempts, r.States, r.Moves))
	}
	checkDocument(t, "explorations", rows)
}

func TestSeededBugsAreCaught(t *testing.T) {
	var rows []string
	broken := map[string]bool{}
	for _, seeded := range Bugs() {
		cfg, r := hunt(seeded.Bug)
		t.Logf("%s, %+v: %q after %d states\n\t%s", seeded.Name, cfg, r.Broken, r.States, strings.Join(r.Trace, "\n\t"))
		if seeded.Harmless != "" {
			require.Empty(t, r.Broken, "%s is said to be harmless", seeded.Name)
			rows = append(rows, fmt.Sprintf("| %s | %s | none: %s | | | |\n", seeded.Name, seeded.What, seeded.Harmless))
			continue
		}
		require.NotEmpty(t, r.Broken, "%s is not caught", seeded.Name)
		require.Positive(t, r.Steps)
		broken[r.Broken] = true
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %d | %d | %d |\n",
			seeded.Name, seeded.What, r.Broken, cfg.MaxAttempts, r.Steps, r.States))
	}
	for _, promise := range []string{neverEarly, neverTwice, neverDeleted, neverLost, neverPaused, neverLate, neverAgain, final, fenced} {
		require.True(t, broken[promise], "no bug breaks this promise: %s", promise)
	}
	checkDocument(t, "bugs", rows)
}

// hunt looks for what a bug breaks, in the smallest model first.
func hunt(bug Bug) (cfg Config, r Result) {
	for _, cfg = range small {
		cfg.Bug = bug
		if r = Explore(cfg); r.Broken != "" {
			break
		}
	}
	return cfg, r
}

// TestPackedStateIsComplete walks at random lengths into the model: no two states may
// have one packed form, and a state must have that of its mirror images.
func TestPackedStateIsComplete(t *testing.T) {
	packedAs := map[packed]state{}
	m := moves{cfg: Config{Tasks: 2, Workers: 3, Faults: 3, MaxAttempts: 2, Pause: true, Changes: true}}
	for seed := range 300 {
		s := m.cfg.initial()
		for i := range 60 {
			if known, again := packedAs[s.pack()]; again {
				require.Equal(t, known, s)
			}
			packedAs[s.pack()] = s
			mirrored := s.swapTasks()
			same, _ := s.canonical()
			again, _ := mirrored.canonical()
			require.Equal(t, same, again)
			steps := m.all(s)
			if len(steps) == 0 {
				break
			}
			s = steps[(seed*(2*i+1)+i*i)%len(steps)].state
		}
	}
}

// checkDocument compares rows with the table of that name in the document, or
// replaces them there.
func checkDocument(t *testing.T, name string, rows []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	if *update {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
		head, rest, found := strings.Cut(string(text), begin)
		require.True(t, found)
		table, tail, found := strings.Cut(rest, end)
		require.True(t, found)
		titles := strings.SplitAfterN(table, "\n", 3)
		table = titles[0] + titles[1] + strings.Join(rows, "")
		require.NoError(t, os.WriteFile(document, []byte(head+begin+table+end+tail), 0o600))
		return
	}
	for _, row := range rows {
		require.Contains(t, string(text), row, "run: go test ./test/model -update -deep")
	}
}
