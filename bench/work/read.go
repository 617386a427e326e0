package work

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/systems"
)

const (
	// askWarm is how often a question is put before it is measured.
	askWarm = 20
	// growthClients create while rows are many.
	growthClients = 16
	// mostForRedis is how many tasks are stored in a system that keeps all of
	// them in memory.
	mostForRedis = 1_000_000
)

// readRows is section f: pages and single tasks out of n stored ones.
func readRows(n int) measurement {
	return measurement{section: report.Read, name: count(n) + " rows", run: func(ctx context.Context, s *environment) error {
		if err := s.storeHistory(ctx, n); err != nil {
			return err
		}
		queries, err := s.client.Queries(ctx)
		if err != nil {
			return err
		}
		for _, query := range queries {
			latency, err := s.ask(ctx, query)
			if err != nil {
				return err
			}
			name := count(n) + " rows: " + query.Name
			s.record(name, milliseconds("p50"), ms(report.Quantile(latency, 0.5)))
			s.record(name, milliseconds("p99"), ms(report.Quantile(latency, 0.99)))
		}
		return nil
	}}
}

func (s *environment) storeHistory(ctx context.Context, n int) error {
	if s.system.Name == "asynq" && n > mostForRedis {
		return skip("asynq holds all of its tasks in memory and is not tried with more than %s", count(mostForRedis))
	}
	if err := s.client.History(ctx, n); err != nil {
		return err
	}
	return s.Settle(ctx)
}

// ask puts a question one time after the other and returns how long each took,
// sorted.
func (s *environment) ask(ctx context.Context, query systems.Query) ([]time.Duration, error) {
	latency := make([]time.Duration, 0, s.scale.Asks)
	for i := range askWarm + s.scale.Asks {
		began := time.Now()
		if err := query.Ask(ctx, i); err != nil {
			return nil, fmt.Errorf("ask for %s: %w", query.Name, err)
		}
		if i >= askWarm {
			latency = append(latency, time.Since(began))
		}
	}
	slices.Sort(latency)
	return latency, nil
}

// growth is section g: what the hot paths cost with n tasks stored.
func growth(n int) measurement {
	name := count(n) + " rows stored"
	return measurement{section: report.Growth, name: name, run: func(ctx context.Context, s *environment) error {
		if err := s.storeHistory(ctx, n); err != nil {
			return err
		}
		if err := s.askWhenGrown(ctx, name); err != nil {
			return err
		}
		if err := s.createWhenGrown(ctx, name); err != nil {
			return err
		}
		return s.execute(ctx, name+", execute "+count(s.scale.GrowthExecute), s.scale.GrowthExecute, 1, false)
	}}
}

func (s *environment) askWhenGrown(ctx context.Context, name string) error {
	queries, err := s.client.Queries(ctx)
	if err != nil {
		return err
	}
	for _, query := range queries {
		latency, err := s.ask(ctx, query)
		if err != nil {
			return err
		}
		s.record(name, milliseconds(query.Name+", p50"), ms(report.Quantile(latency, 0.5)))
	}
	return nil
}

func (s *environment) createWhenGrown(ctx context.Context, name string) error {
	submitters := make([]systems.Submitter, growthClients)
	for i := range submitters {
		var err error
		if submitters[i], err = s.client.Submitter(ctx); err != nil {
			return err
		}
		defer submitters[i].Close() // Each create was answered.
	}
	result, err := s.createFor(ctx, growthClients, 1, func(ctx context.Context, client int, due []time.Time) error {
		return submitters[client].Create(ctx, due[0])
	})
	if err != nil {
		return err
	}
	s.record(name+", create", metricRate, result.rate)
	s.recordCost(name+", create", result.spent, result.tasks)
	return nil
}
