package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/timewheel/timewheel/bench/report"
)

// profileClients create while the API is profiled.
const profileClients = 64

// Profile takes CPU profiles of timewheel's processes while 64 clients create one by one,
// and while a worker executes, with what Postgres and Redis say of the same stretch. They
// go to the folder profile in dir, with a text of them.
func Profile(ctx context.Context, o Options, dir string) (err error) {
	dir = filepath.Join(dir, "profile")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: for everyone to read.
		return fmt.Errorf("make the folder of the profiles: %w", err)
	}
	b, err := begin(ctx, o, map[string]string{"shared_preload_libraries": "pg_stat_statements"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	var text strings.Builder
	for _, m := range []measurement{
		{name: "create", run: func(s env) { s.createOneByOne(profileClients) }},
		{name: "execute", run: func(s env) { s.execute(s.scale.Execute[0], 1, false) }},
	} {
		b.Profile = filepath.Join(dir, m.name)
		if err := b.profile(ctx, m, &text); err != nil {
			return fmt.Errorf("profile %s: %w", m.name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "profile.txt"), []byte(text.String()), 0o644); err != nil { //nolint:gosec // G306: as above.
		return fmt.Errorf("write the profile's text: %w", err)
	}
	fmt.Fprintf(o.Out, "%sthis text and the profiles are in %s\n", text.String(), dir)
	return nil
}

// profile writes down what the work came to, and what the processes and both stores did
// meanwhile.
func (b *bench) profile(ctx context.Context, m measurement, text *strings.Builder) error {
	work, statistics := m.run, ""
	m.run = func(s env) {
		work(s)
		statistics = get(s, s.Statistics)
	}
	var results report.Results
	if err := b.measure(ctx, m, b.systems[0], &results); err != nil {
		return err
	}
	fmt.Fprintf(text, "# %s\n\n", m.name)
	for _, series := range results.Series {
		fmt.Fprintf(text, "%s: %s %s\n", series.Metric.Name, report.Number(series.Median), series.Metric.Unit)
	}
	// They are whole now that the processes have ended.
	profiles, err := filepath.Glob(b.Profile + "-*.pprof")
	if err != nil {
		return fmt.Errorf("find the profiles: %w", err)
	}
	for _, file := range profiles {
		top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=30", file).Output() //nolint:gosec // G204: the path is our own.
		if err != nil {
			return fmt.Errorf("read the profile: %w", err)
		}
		fmt.Fprintf(text, "\n## CPU of %s\n\n%s", filepath.Base(file), top)
	}
	fmt.Fprintf(text, "\n## What took the stores' time\n\n%s\n", statistics)
	return nil
}
