package work

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/procfs"
)

// describeMachine says what the figures are taken on.
func (b *bench) describeMachine(ctx context.Context) (err error) {
	m := &b.results.Machine
	m.CPUs, m.CPU, m.Go = runtime.NumCPU(), "unknown", runtime.Version()
	if m.Postgres, err = b.rig.PostgresVersion(ctx); err != nil {
		return err
	}
	if m.Redis, err = b.rig.RedisVersion(ctx); err != nil {
		return err
	}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return fmt.Errorf("open /proc: %w", err)
	}
	load, err := proc.LoadAvg()
	if err != nil {
		return fmt.Errorf("read the load average: %w", err)
	}
	m.Load = load.Load1
	cpus, err := proc.CPUInfo()
	if err != nil {
		return fmt.Errorf("read the kind of CPU: %w", err)
	}
	if len(cpus) > 0 && cpus[0].ModelName != "" {
		m.CPU = cpus[0].ModelName
	}
	// The rivals' versions are those that this program was built with.
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if strings.HasSuffix(module.Path, "/asynq") || strings.HasSuffix(module.Path, "/river") {
				b.results.Versions = append(b.results.Versions, module.Path+" "+module.Version)
			}
		}
	}
	return nil
}
