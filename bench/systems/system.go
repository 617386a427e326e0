// Package systems holds the systems that are compared, each behind the same small set of
// verbs: how a client creates tasks, what its store says of them, and which process works
// them off.
package systems

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/timewheel/timewheel/bench/rig"
)

// System is one contender.
type System struct {
	Name string
	// Migrate makes the system's schema.
	Migrate func(ctx context.Context, databaseURL string) error
	// API is the role in which this program is the system's API, if it has one.
	API string
	// Connect opens a client on the rig's stores, which are fresh, and of the API at this
	// address.
	Connect func(ctx context.Context, r *rig.Rig, api string) (Client, error)
	// Settings are the documented settings of a worker that may suit a purpose. The first
	// of each is taken if nothing was swept.
	Settings map[Purpose][]Setting
}

// WorkerRole is the role in which this program is the system's worker.
func (s System) WorkerRole() string { return strings.ToLower(s.Name) + "-worker" }

// Purpose is what a worker is configured for.
type Purpose string

// The purposes: to execute many tasks a second, to start them near to their time, and to
// cost little without work.
const (
	Rate     Purpose = "rate"
	Lateness Purpose = "lateness, p99"
	Rest     Purpose = "rest"
)

// Setting is one way to configure a worker: variables of its environment, as NAME=value.
type Setting []string

// Label is the setting for people.
func (s Setting) Label() string { return strings.ReplaceAll(strings.Join(s, ", "), "=", " ") }

// Client is a system as its users see it, for one measurement. Its methods that create are
// safe for many goroutines.
type Client interface {
	// Create creates one task.
	Create(ctx context.Context, due time.Time) error
	// Bulks are the ways to create many tasks in one call.
	Bulks() []Bulk
	// Preload puts tasks in by the fastest way there is, in this order. It is never
	// measured.
	Preload(ctx context.Context, due []time.Time) error
	// Warm says whether the workers' background loops are at work too.
	Warm(ctx context.Context) (bool, error)
	// Idle says whether the store has no task left that is due.
	Idle(ctx context.Context) (bool, error)
	// Finished is how many tasks have been executed, as the store has it.
	Finished(ctx context.Context) (int, error)
	// History stores n tasks that need no work now, of four types and, where the system
	// keeps ended tasks, of four statuses.
	History(ctx context.Context, n int) error
	// Queries are what can be asked about the tasks of History.
	Queries(ctx context.Context) ([]Query, error)
	// Close ends what Connect started.
	Close() error
}

// Bulk is one way to create many tasks in one call.
type Bulk struct {
	Name   string
	Create func(ctx context.Context, due []time.Time) error
}

// Query is one thing to ask; i varies what is asked for.
type Query struct {
	Name string
	Ask  func(ctx context.Context, i int) error
}

// The questions to which all systems have an answer, and the size of a page.
const (
	askStatus = "page by status"
	askOne    = "one by id"
	pageSize  = 50
)

// notEmpty refuses an answer with nothing in it, whose time is worthless.
func notEmpty(found int) error {
	if found == 0 {
		return errors.New("the answer is empty")
	}
	return nil
}

// noSchema is the migration of a system that needs none.
func noSchema(context.Context, string) error { return nil }

// All lists the systems; timewheel comes first.
func All() []System { return []System{timewheel(), asynqSystem(), riverSystem()} }

// Play is this program as one process of a system.
func Play(ctx context.Context, role string) error {
	roles := map[string]func(context.Context, *rig.Witness) error{
		apiRole: runTimewheelAPI, "timewheel-worker": runTimewheelWorker,
		"asynq-worker": runAsynqWorker, "river-worker": runRiverWorker,
	}
	run, ok := roles[role]
	if !ok {
		return errors.New("there is no role " + role)
	}
	return run(ctx, rig.NewWitness())
}

// noop is the type of the tasks that do nothing. Its name is one of those that timewheel's
// API knows, so that the API can be the real one; the handler under it is the bench's own.
const noop = "baz"

// typeNames are the types of History.
var typeNames = []string{noop, "foo", "bar", "webhook"}

// payload is what every task carries, but for those of asynq, whose handler is told its due
// time by nobody else.
const payload = `{"bench":true}`

// store asks a system's Postgres what it has of the tasks.
type store struct {
	pool *pgxpool.Pool
	// table holds a row for each task.
	table string
	// idle is a query that says whether nothing due is left, finished the condition of a
	// task that was executed, and history a statement that makes rows, given their number
	// and the names of the types.
	idle, finished, history string
}

// openPool opens a pool with more parameters of the URL.
func openPool(ctx context.Context, url, parameters string) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, url+"&"+parameters)
	if err != nil {
		return nil, fmt.Errorf("open a pool: %w", err)
	}
	return pool, nil
}

// ask reads the one value that a query gives.
func ask[T any](ctx context.Context, s store, query string) (answer T, err error) {
	if err := s.pool.QueryRow(ctx, query).Scan(&answer); err != nil {
		return answer, fmt.Errorf("ask postgres: %w", err)
	}
	return answer, nil
}

// Close closes the pool.
func (s store) Close() error {
	s.pool.Close()
	return nil
}

// Idle implements Client.
func (s store) Idle(ctx context.Context) (bool, error) { return ask[bool](ctx, s, s.idle) }

// Finished counts the rows that are done.
func (s store) Finished(ctx context.Context) (int, error) {
	return ask[int](ctx, s, "SELECT count(*) FROM "+s.table+" WHERE "+s.finished)
}

// History writes the rows itself: the system would take days.
func (s store) History(ctx context.Context, n int) error {
	if _, err := s.pool.Exec(ctx, s.history, n, typeNames); err != nil {
		return fmt.Errorf("store a history: %w", err)
	}
	return nil
}

// queries are the questions for a page of tasks of one of four statuses and of one of the
// types, and for one of a thousand tasks from anywhere. For list, an empty filter is none.
func queries[ID any](
	ctx context.Context, s store, statuses []string, list func(ctx context.Context, status, taskType string) error,
	get func(ctx context.Context, id ID) error,
) ([]Query, error) {
	rows, err := s.pool.Query(ctx, "SELECT id FROM "+s.table+" ORDER BY md5(id::text) LIMIT 1000")
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[ID])
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	return []Query{
		{"page, no filter", func(ctx context.Context, _ int) error { return list(ctx, "", "") }},
		{askStatus, func(ctx context.Context, i int) error { return list(ctx, statuses[i%4], "") }},
		{"page by type", func(ctx context.Context, i int) error { return list(ctx, "", typeNames[i%4]) }},
		{"page by status and type", func(ctx context.Context, i int) error { return list(ctx, statuses[i%4], typeNames[i/4%4]) }},
		{askOne, func(ctx context.Context, i int) error { return get(ctx, ids[i%len(ids)]) }},
	}, nil
}
