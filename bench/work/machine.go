package work

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/prometheus/procfs"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
)

// describeMachine says what the figures are taken on.
func describeMachine(ctx context.Context, r *rig.Rig) (report.Machine, error) {
	m := report.Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), CPU: "unknown"}
	var err error
	if m.Postgres, err = r.PostgresVersion(ctx); err != nil {
		return m, err
	}
	if m.Redis, err = r.RedisVersion(ctx); err != nil {
		return m, err
	}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return m, fmt.Errorf("open /proc: %w", err)
	}
	load, err := proc.LoadAvg()
	if err != nil {
		return m, fmt.Errorf("read the load average: %w", err)
	}
	m.Load = load.Load1
	cpus, err := proc.CPUInfo()
	if err != nil {
		return m, fmt.Errorf("read the kind of CPU: %w", err)
	}
	if len(cpus) > 0 && cpus[0].ModelName != "" {
		m.CPU = cpus[0].ModelName
	}
	return m, nil
}

// rivalVersions are those that this program was built with.
func rivalVersions() []string {
	rivals := []string{"github.com/hibiken/asynq", "github.com/riverqueue/river"}
	var versions []string
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return nil
	}
	for _, module := range info.Deps {
		if slices.Contains(rivals, module.Path) {
			versions = append(versions, module.Path+" "+module.Version)
		}
	}
	return versions
}
