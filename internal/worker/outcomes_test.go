package worker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

// passingTypes are declared types that come and go.
type passingTypes struct {
	mu    sync.Mutex
	names []string
}

func (s *passingTypes) set(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = names
}

func (s *passingTypes) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

func (s *passingTypes) Type(name string) (task.Type, bool) {
	for _, declared := range s.Names() {
		if declared == name {
			return task.Type{Name: name}, true
		}
	}
	return task.Type{}, false
}

func (*passingTypes) Changed() <-chan struct{}      { return nil }
func (*passingTypes) Refresh(context.Context) error { return nil }

// The first failure of a type is a rise from nought, and a type that is gone leaves nothing behind.
func TestOutcomesAreThereBeforeTheyOccur(t *testing.T) {
	t.Parallel()
	types := &passingTypes{names: []string{"mail", "leased"}}
	registry := prometheus.NewRegistry()
	lookup := func(name string) (worker.Handler, bool) {
		return func(context.Context, *task.Task) (json.RawMessage, error) { return nil, nil }, name != "leased"
	}
	worker.New(nil, nil, types, lookup, worker.Config{Concurrency: 1}, slog.New(slog.DiscardHandler), registry)
	series := func() map[string][]string {
		families, err := registry.Gather()
		require.NoError(t, err)
		byType := map[string][]string{}
		for _, family := range families {
			if family.GetName() != "timewheel_attempts_ended_total" {
				continue
			}
			for _, m := range family.GetMetric() {
				require.Zero(t, m.GetCounter().GetValue())
				name := m.GetLabel()[1].GetValue()
				byType[name] = append(byType[name], m.GetLabel()[0].GetValue())
			}
		}
		return byType
	}
	want := []string{"cancelled", "done", "handler_error", "late_result", "panic", "timeout", "unknown_type", "worker_stopped"}
	require.Equal(t, map[string][]string{"mail": want}, series(), "others lease the other one")
	types.set("mail", "bill")
	require.Equal(t, map[string][]string{"mail": want, "bill": want}, series())
	types.set("bill")
	require.Equal(t, map[string][]string{"bill": want}, series())
}
