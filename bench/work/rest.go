package work

import (
	"context"
	"fmt"
	"time"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
)

const (
	// within and beyond are when the tasks of a system at rest are due: inside
	// of timewheel's horizon of an hour, and outside.
	within = 55 * time.Minute
	beyond = 3 * time.Hour
)

// atRest is section e: tasks lie ahead and nothing is to be done.
func atRest(n int) measurement {
	name := count(n) + " tasks within the hour"
	return measurement{section: report.Rest, name: name, run: func(ctx context.Context, s *environment) error {
		if err := s.layAhead(ctx, name, n, within); err != nil {
			return err
		}
		return s.watch(ctx, name)
	}}
}

// farAhead is section e: what tasks cost that are due long after the horizon.
// The rivals make no difference between near and far.
func farAhead(n int) measurement {
	name := count(n) + " tasks beyond the horizon"
	return measurement{section: report.Rest, name: name, only: "timewheel", run: func(ctx context.Context, s *environment) error {
		return s.layAhead(ctx, name, n, beyond)
	}}
}

// layAhead puts n tasks in that are due in a while, and records what they take
// in each store.
func (s *environment) layAhead(ctx context.Context, name string, n int, in time.Duration) error {
	if err := s.startWorkers(ctx, 1, s.choice.rest); err != nil {
		return err
	}
	if err := s.release(ctx); err != nil {
		return err
	}
	if err := s.client.Warm(ctx); err != nil {
		return err
	}
	memory, err := s.RedisMemory(ctx)
	if err != nil {
		return err
	}
	bytes, err := s.client.Bytes(ctx)
	if err != nil {
		return err
	}
	due := make([]time.Time, n)
	for i := range due {
		due[i] = time.Now().Add(in + time.Duration(i)*time.Millisecond)
	}
	if err := s.client.Preload(ctx, due); err != nil {
		return fmt.Errorf("put tasks in: %w", err)
	}
	if err := s.Settle(ctx); err != nil {
		return err
	}
	memoryAfter, err := s.RedisMemory(ctx)
	if err != nil {
		return err
	}
	bytesAfter, err := s.client.Bytes(ctx)
	if err != nil {
		return err
	}
	perTask := func(name string) report.Metric {
		return report.Metric{Name: name, Unit: "bytes a task", Better: report.Lower}
	}
	// Clients' buffers come and go: below a byte a task there is nothing.
	s.record(name, perTask("Redis"), max(0, float64(int((memoryAfter-memory)/float64(n)))))
	s.record(name, perTask("Postgres"), (bytesAfter-bytes)/float64(n))
	return nil
}

// watch records what the system costs while it has nothing to do.
func (s *environment) watch(ctx context.Context, name string) error {
	if err := rig.Pause(ctx, s.scale.Calm); err != nil {
		return err
	}
	commands, err := s.RedisCommands(ctx)
	if err != nil {
		return err
	}
	transactions, err := s.PostgresTransactions(ctx)
	if err != nil {
		return err
	}
	before, err := s.Usage(s.nodes())
	if err != nil {
		return err
	}
	began := time.Now()
	if err := rig.Pause(ctx, s.scale.Rest); err != nil {
		return err
	}
	after, err := s.Usage(s.nodes())
	if err != nil {
		return err
	}
	took := time.Since(began)
	commandsAfter, err := s.RedisCommands(ctx)
	if err != nil {
		return err
	}
	transactionsAfter, err := s.PostgresTransactions(ctx)
	if err != nil {
		return err
	}
	spent := after.Since(before)
	for _, part := range []struct {
		name string
		cpu  time.Duration
	}{
		{"CPU", spent.Total()},
		{"CPU of its processes", spent.Nodes},
		{"CPU of Redis", spent.Redis},
		{"CPU of Postgres", spent.Postgres},
	} {
		share := 100 * part.cpu.Seconds() / took.Seconds()
		s.record(name, report.Metric{Name: part.name, Unit: "% of a core", Better: report.Lower}, share)
	}
	perSecond := func(name string) report.Metric {
		return report.Metric{Name: name, Unit: "a second", Better: report.Lower}
	}
	s.record(name, perSecond("Redis commands"), (commandsAfter-commands)/took.Seconds())
	s.record(name, perSecond("Postgres transactions"), (transactionsAfter-transactions)/took.Seconds())
	return nil
}
