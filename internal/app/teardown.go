package app

import (
	"context"
	"log/slog"
	"time"
)

// stepTimeout bounds each step of a teardown.
const stepTimeout = 5 * time.Second

// teardown is what a program has to undo at its end. A part registers its step as soon
// as it exists; the steps run last in, first out.
type teardown struct {
	log   *slog.Logger
	steps []step
}

type step struct {
	name string
	do   func(context.Context) error
}

func (t *teardown) add(name string, do func(context.Context) error) {
	t.steps = append(t.steps, step{name: name, do: do})
}

// run carries out all steps, each within stepTimeout. A step that fails is logged by its
// name and keeps no other from being carried out.
func (t *teardown) run() {
	for i := len(t.steps) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
		if err := t.steps[i].do(ctx); err != nil {
			t.log.Warn("a step of the shutdown failed", "step", t.steps[i].name, "error", err)
		}
		cancel()
	}
	t.steps = nil
}
