package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
	"github.com/timewheel/timewheel/bench/witness"
)

// profileClients create while the API is profiled.
const profileClients = 64

// profiler looks into timewheel while it works.
type profiler struct {
	*Bench
	dir  string
	text strings.Builder
}

// Profile takes CPU profiles of timewheel's API while 64 clients create one by
// one, and of its worker while it executes, with what Postgres and Redis say of
// the same stretch. They go to the folder profile in dir, with a text of them.
func Profile(ctx context.Context, o Options, dir string) (err error) {
	p := &profiler{dir: filepath.Join(dir, "profile")}
	if err := os.MkdirAll(p.dir, 0o755); err != nil { //nolint:gosec // G301: for everyone to read.
		return fmt.Errorf("make the folder of the profiles: %w", err)
	}
	system := systems.Profiled()
	p.Bench = &Bench{
		scale: o.Scale, out: o.Out, results: &report.Results{Systems: []string{system.Name}},
		choices: map[string]choice{system.Name: {system.ForRate[0], system.ForTime[0], system.AtRest}},
	}
	if p.rig, err = rig.Start(ctx, o.Out, true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.rig.Close()) }()
	if err := p.rig.Template(ctx, system.Name, system.Migrate); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, *environment) error
	}{{"create", p.profileCreate}, {"execute", p.profileExecute}} {
		fmt.Fprintf(&p.text, "# %s\n\n", part.name)
		if err := p.within(ctx, system, part.run); err != nil {
			return fmt.Errorf("profile %s: %w", part.name, err)
		}
	}
	file := filepath.Join(p.dir, "profile.txt")
	if err := os.WriteFile(file, []byte(p.text.String()), 0o644); err != nil { //nolint:gosec // G306: as above.
		return fmt.Errorf("write the profile's text: %w", err)
	}
	fmt.Fprint(o.Out, p.text.String())
	fmt.Fprintf(o.Out, "this text and the profiles are in %s\n", p.dir)
	return nil
}

func (p *profiler) within(ctx context.Context, system systems.System, run func(context.Context, *environment) error) (err error) {
	s, err := p.enter(ctx, "profile", system)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.leave()) }()
	if err := s.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return fmt.Errorf("load pg_stat_statements: %w", err)
	}
	return run(ctx, s)
}

func (p *profiler) profileCreate(ctx context.Context, s *environment) error {
	api := witness.Remote{Address: s.client.Nodes()[0].Address}
	return p.take(ctx, s, "create-api", api, func() (string, error) {
		m := createOneByOne(profileClients)
		if err := m.run(ctx, s); err != nil {
			return "", err
		}
		rate := s.results.Find(s.section, m.name, s.system.Name, report.Rate)
		return fmt.Sprintf("%s: %s tasks/s", m.name, report.Number(rate.Median)), nil
	})
}

func (p *profiler) profileExecute(ctx context.Context, s *environment) error {
	n := s.scale.Execute[0]
	if err := s.startWorkers(ctx, 1, s.choice.rate); err != nil {
		return err
	}
	if err := s.client.Preload(ctx, duePast(n, false)); err != nil {
		return err
	}
	if err := s.Settle(ctx); err != nil {
		return err
	}
	return p.take(ctx, s, "execute-worker", s.remotes()[0], func() (string, error) {
		run, err := s.runToIdle(ctx, n)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s tasks in %s: %s tasks/s; CPU of worker and API %s, Postgres %s, Redis %s", count(n),
			run.took.Round(time.Millisecond), report.Number(float64(n)/run.took.Seconds()), run.spent.Nodes,
			run.spent.Postgres, run.spent.Redis), nil
	})
}

// take profiles one process while do runs, and writes down what the process
// and both stores did meanwhile.
func (p *profiler) take(ctx context.Context, s *environment, name string, remote witness.Remote, do func() (string, error)) error {
	if err := s.ResetStatistics(ctx); err != nil {
		return err
	}
	if err := remote.StartProfile(ctx); err != nil {
		return err
	}
	summary, doErr := do()
	profile, err := remote.StopProfile(ctx)
	if err = errors.Join(doErr, err); err != nil {
		return err
	}
	file := filepath.Join(p.dir, name+".pprof")
	if err := os.WriteFile(file, profile, 0o644); err != nil { //nolint:gosec // G306: for everyone to read.
		return fmt.Errorf("write the profile: %w", err)
	}
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=30", file).Output() //nolint:gosec // G204: the path is our own.
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	statements, err := s.TopStatements(ctx)
	if err != nil {
		return err
	}
	commands, err := s.CommandStats(ctx)
	if err != nil {
		return err
	}
	latencies, err := s.Latencies(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(&p.text, "%s\n\n", summary)
	p.part("CPU of "+name, string(top))
	p.part("The ten costliest statements of Postgres", statements...)
	p.part("Commands of Redis", commands...)
	p.part("What Redis kept its clients waiting for, from a millisecond on", latencies...)
	return nil
}

func (p *profiler) part(title string, lines ...string) {
	fmt.Fprintf(&p.text, "## %s\n\n", title)
	for _, line := range lines {
		fmt.Fprintln(&p.text, line)
	}
	fmt.Fprintln(&p.text)
}
