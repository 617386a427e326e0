// Package catalog is what a node knows of the task types. It is read when the node
// starts, and then follows the table: what is changed is known within a second. While
// Postgres is away, what was known last holds.
package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// pace is how often a node asks for changes. That is one row of one table.
	pace = 800 * time.Millisecond
	// missPace bounds how often unknown names make it ask: names that clients make up are
	// no way to load Postgres.
	missPace = 20 * time.Millisecond
	// missPatience bounds that question.
	missPatience = time.Second
	// logAgain is how often a failure is logged that lasts.
	logAgain = time.Minute
)

// Store is Postgres as the catalog needs it.
type Store interface {
	// Types reads what changed since a version.
	Types(ctx context.Context, since int64) (task.Types, error)
}

// Catalog knows the task types by name.
type Catalog struct {
	store Store
	log   *slog.Logger
	known atomic.Pointer[snapshot]

	mu      sync.Mutex // held by the one that asks
	asked   time.Time  // when the last question began
	failed  error      // what became of it
	changed chan struct{}
}

// snapshot is never changed.
type snapshot struct {
	version int64
	types   map[string]task.Type
}

// New makes a catalog that knows nothing yet.
func New(store Store, log *slog.Logger) *Catalog {
	c := &Catalog{store: store, log: log.With("component", "catalog"), changed: make(chan struct{}, 1)}
	c.known.Store(&snapshot{})
	return c
}

// Refresh asks for changes now.
func (c *Catalog) Refresh(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refresh(ctx)
}

func (c *Catalog) refresh(ctx context.Context) error {
	known := c.known.Load()
	c.asked = time.Now()
	found, err := c.store.Types(ctx, known.version)
	if err != nil {
		c.failed = fmt.Errorf("refresh the task types: %w", err)
		return c.failed
	}
	c.failed = nil
	if found.Version == known.version {
		return nil
	}
	next := &snapshot{version: found.Version, types: make(map[string]task.Type, len(found.Names))}
	for _, name := range found.Names {
		if t, ok := known.types[name]; ok {
			next.types[name] = t
		}
	}
	for _, t := range found.Changed {
		next.types[t.Name] = t
	}
	c.known.Store(next)
	select {
	case c.changed <- struct{}{}:
	default:
	}
	return nil
}

// Run follows the changes until ctx ends.
func (c *Catalog) Run(ctx context.Context) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var logged time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := c.Refresh(ctx); err != nil && ctx.Err() == nil && time.Since(logged) > logAgain {
			c.log.Warn("the task types are those that were known last", "error", err)
			logged = time.Now()
		}
	}
}

// Changed holds a token after a change, for one listener.
func (c *Catalog) Changed() <-chan struct{} { return c.changed }

// Type is what is known of a type.
func (c *Catalog) Type(name string) (task.Type, bool) {
	t, ok := c.known.Load().types[name]
	return t, ok
}

// Names are those of all types.
func (c *Catalog) Names() []string { return slices.Collect(maps.Keys(c.known.Load().types)) }

// Find is Type, and asks for a name that is not known: another node may have declared it a
// moment ago. All that wait for the same pace are answered by one question, which began
// after they came. The error is that of the question: then a name that is not known may be
// declared.
func (c *Catalog) Find(name string) (t task.Type, ok bool, err error) {
	if t, ok = c.Type(name); ok {
		return t, ok, nil
	}
	came := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok = c.Type(name); ok || c.asked.After(came) {
		return t, ok, c.failed
	}
	time.Sleep(time.Until(c.asked.Add(missPace)))
	ctx, cancel := context.WithTimeout(context.Background(), missPatience)
	defer cancel()
	err = c.refresh(ctx)
	t, ok = c.Type(name)
	return t, ok, err
}
