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

// Profile takes CPU profiles of timewheel's processes while 64 clients create
// one by one, and while a worker executes, with what Postgres and Redis say of
// the same stretch. They go to the folder profile in dir, with a text of them.
func Profile(ctx context.Context, o Options, dir string) (err error) {
	dir = filepath.Join(dir, "profile")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: for everyone to read.
		return fmt.Errorf("make the folder of the profiles: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("name the folder of the profiles: %w", err)
	}
	o.Systems = []string{"timewheel"}
	b, err := begin(ctx, o, map[string]string{"shared_preload_libraries": "pg_stat_statements"})
	if b.rig != nil {
		defer func() { err = errors.Join(err, b.rig.Close()) }()
	}
	if err != nil {
		return err
	}
	var text strings.Builder
	parts := []measurement{
		{name: "create", run: func(ctx context.Context, s env) error { return s.createOneByOne(ctx, profileClients) }},
		{name: "execute", run: func(ctx context.Context, s env) error { return s.execute(ctx, o.Scale.Execute[0], 1, false) }},
	}
	for _, part := range parts {
		b.rig.Profile = filepath.Join(dir, part.name)
		if err := b.profile(ctx, part, &text); err != nil {
			return fmt.Errorf("profile %s: %w", part.name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "profile.txt"), []byte(text.String()), 0o644); err != nil { //nolint:gosec // G306: as above.
		return fmt.Errorf("write the profile's text: %w", err)
	}
	fmt.Fprintf(o.Out, "%sthis text and the profiles are in %s\n", text.String(), dir)
	return nil
}

// profile writes down what the work came to, and what the processes and both
// stores did meanwhile.
func (b *bench) profile(ctx context.Context, m measurement, text *strings.Builder) error {
	work, results := m.run, &report.Results{}
	fmt.Fprintf(text, "# %s\n\n", m.name)
	m.run = func(ctx context.Context, s env) error {
		if err := work(ctx, s); err != nil {
			return err
		}
		for _, series := range results.Series {
			fmt.Fprintf(text, "%s: %s %s\n", series.Metric.Name, report.Number(series.Median), series.Metric.Unit)
		}
		for _, part := range []struct {
			title string
			lines func(context.Context) ([]string, error)
		}{
			{"The ten costliest statements of Postgres", s.TopStatements},
			{"Commands of Redis", s.CommandStats},
			{"What Redis kept its clients waiting for, from a millisecond on", s.Latencies},
		} {
			lines, err := part.lines(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(text, "\n## %s\n\n%s\n", part.title, strings.Join(lines, "\n"))
		}
		return nil
	}
	if err := b.measure(ctx, m, b.systems[0], results); err != nil {
		return err
	}
	profiles, err := filepath.Glob(b.rig.Profile + "-*.pprof")
	if err != nil {
		return err
	}
	for _, file := range profiles { // which are whole now that the processes have ended
		top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=30", file).Output() //nolint:gosec // G204: the path is our own.
		if err != nil {
			return fmt.Errorf("read the profile: %w", err)
		}
		fmt.Fprintf(text, "\n## CPU of %s\n\n%s\n", filepath.Base(file), top)
	}
	return nil
}
