package work

import (
	"context"
	"fmt"
	"time"

	"github.com/timewheel/timewheel/bench/systems"
)

const (
	// askWarm is how often a question is put before it is measured.
	askWarm = 20
	// growthClients create while rows are many.
	growthClients = 16
)

// read is section f: pages and single tasks out of many stored ones.
func read(ctx context.Context, s env) error {
	rows := s.name
	return s.askAll(ctx, s.scale.Rows, func(question string, latency []time.Duration) {
		s.name = rows + ": " + question
		s.recordPercentiles("", latency, 50, 99)
	})
}

// growth is section g: what the hot paths cost with n tasks stored.
func (s *environment) growth(ctx context.Context, n int) error {
	rows := s.name
	err := s.askAll(ctx, n, func(question string, latency []time.Duration) {
		s.recordPercentiles(question+", ", latency, 50)
	})
	if err != nil {
		return err
	}
	s.name = rows + ", create"
	_, err = s.create(ctx, growthClients, 1, func(ctx context.Context, due []time.Time) error { return s.Create(ctx, due[0]) })
	if err != nil {
		return err
	}
	s.name = rows + ", execute " + count(s.scale.GrowthExecute)
	return s.execute(ctx, s.scale.GrowthExecute, 1, false)
}

// askAll stores n tasks, and puts every question that there is about them.
func (s *environment) askAll(ctx context.Context, n int, asked func(question string, latency []time.Duration)) error {
	if err := s.History(ctx, n); err != nil {
		return err
	}
	if err := s.Settle(ctx); err != nil {
		return err
	}
	queries, err := s.Queries(ctx)
	if err != nil {
		return err
	}
	for _, query := range queries {
		latency, err := s.ask(ctx, query)
		if err != nil {
			return fmt.Errorf("ask for %s: %w", query.Name, err)
		}
		asked(query.Name, latency)
	}
	return nil
}

// ask puts a question one time after the other and returns how long each took.
func (s *environment) ask(ctx context.Context, query systems.Query) ([]time.Duration, error) {
	latency := make([]time.Duration, 0, s.scale.Asks)
	for i := range askWarm + s.scale.Asks {
		began := time.Now()
		if err := query.Ask(ctx, i); err != nil {
			return nil, err
		}
		if i >= askWarm {
			latency = append(latency, time.Since(began))
		}
	}
	return latency, nil
}
