package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

func startPostgres(ctx context.Context, t *Target) error    { return t.Postgres.Start(ctx) }
func stopPostgres(_ context.Context, t *Target) error       { return t.Postgres.Stop() }
func killPostgres(_ context.Context, t *Target) error       { return t.Postgres.Kill() }
func shutPostgresAtOnce(_ context.Context, t *Target) error { return t.Postgres.StopImmediately() }
func resumePostgres(_ context.Context, t *Target) error     { return t.resume() }
func fillDisk(_ context.Context, t *Target) error           { return t.FillDisk() }

func pausePostgres(_ context.Context, t *Target) (err error) {
	t.resume, err = t.Postgres.Pause()
	return err
}

// sql carries out statements, one by one.
func sql(statements ...string) Step {
	return func(ctx context.Context, t *Target) error {
		for _, statement := range statements {
			if _, err := t.DB.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
}

// hold carries out statements in a transaction that stays open until release.
func hold(statements ...string) Step {
	return func(ctx context.Context, t *Target) (err error) {
		if t.tx, err = t.DB.Begin(ctx); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		for _, statement := range statements {
			if _, err := t.tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
}

func release(ctx context.Context, t *Target) error { return t.tx.Rollback(ctx) }

// terminate ends every backend of the system.
var terminate = sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'timewheel'`)

func postgresFaults(c rig.Config) []Fault {
	const soon, long = 100 * time.Millisecond, 5 * time.Second // long is longer than a lease
	readOnly := 6 * time.Second
	if c.Retention > 0 {
		readOnly = min(readOnly, max(time.Second, c.Retention/2))
	}
	all := []Fault{
		{Name: "postgres shuts down at once", Do: shutPostgresAtOnce, Undo: startPostgres, Min: soon, Max: 3 * time.Second},
		{Name: "postgres is killed", Do: killPostgres, Undo: startPostgres, Min: soon, Max: 3 * time.Second},
		{Name: "postgres ends all backends", Do: terminate},
		{Name: "postgres has too many connections", Do: crowd, Undo: disperse},
		{Name: "statements wait for a lock and lose their clients", Do: park, Undo: release, Min: 2 * soon, Max: time.Second},
		// As a standby does.
		{
			Name: "postgres takes reads only", Min: time.Second, Max: readOnly,
			Do:   sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"),
			Undo: sql("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"),
		},
		// The row is that of a task that is about to start or runs.
		{
			Name: "somebody locks a row", Undo: release, Min: 2 * time.Second, Max: 8 * time.Second,
			Do: hold(`SELECT FROM tasks WHERE outcome = 'open' AND due_at < now() + interval '1 s'
				ORDER BY due_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED`),
		},
		{
			Name: "somebody holds an old snapshot", Undo: release, Min: 5 * time.Second, Max: 15 * time.Second,
			Do: hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM (SELECT FROM tasks LIMIT 1) one"),
		},
	}
	if c.Retention == 0 {
		// A create that is not answered is tried again for as long as Postgres is away: by then
		// its task must still be kept.
		all = append(
			all,
			Fault{Name: "postgres is stopped for long", Do: stopPostgres, Undo: startPostgres, Min: long, Max: c.Outage},
			Fault{Name: "postgres is paused", Do: pausePostgres, Undo: resumePostgres, Min: long, Max: c.Outage},
		)
	}
	if c.Disk > 0 {
		all = append(all, Fault{Name: "postgres' disk is full", Do: fillDisk, Undo: freeDisk, Min: 2 * time.Second, Max: 5 * time.Second})
	}
	for _, kind := range proxy.Kinds() {
		for _, when := range proxy.Moments() {
			rule := proxy.Rule{Kind: kind, Chance: 0.3, Moment: when}
			all = append(all, Fault{
				Name: "connections break " + string(when) + " " + kind,
				Do:   set(func(t *Target) { t.PostgresProxy.Rules(rule) }), Undo: set(func(t *Target) { t.PostgresProxy.Rules() }),
			})
		}
	}
	return all
}

// crowd takes every connection that there is, once those of the system were
// cut, so that it cannot come back for a while.
func crowd(ctx context.Context, t *Target) error {
	if err := terminate(ctx, t); err != nil {
		return err
	}
	for range 2 * rig.MaxConnections {
		c, err := pgx.Connect(ctx, t.Postgres.URL())
		if err == nil {
			t.crowd = append(t.crowd, c)
		} else if len(t.crowd) >= rig.MaxConnections/2 {
			break // all are taken; some by the system, which came back in between
		}
	}
	return nil
}

func disperse(ctx context.Context, t *Target) (err error) {
	for _, c := range t.crowd {
		err = errors.Join(err, c.Close(ctx))
	}
	return err
}

// park makes every statement that writes wait for a lock, and cuts the clients of
// those that wait. Once it is released they commit, long after their clients began to
// try again.
func park(ctx context.Context, t *Target) error {
	if err := hold(`LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE`)(ctx, t); err != nil {
		return err
	}
	for range 2 {
		t.pause(ctx, 200*time.Millisecond, time.Second)
		t.PostgresProxy.Cut()
	}
	return nil
}

func freeDisk(ctx context.Context, t *Target) error {
	if err := t.FreeDisk(); err != nil {
		return err
	}
	// It may have given up: what it cannot log it must not commit.
	select {
	case <-t.Postgres.Done():
		return t.Postgres.Start(ctx)
	case <-time.After(2 * time.Second):
		return nil
	}
}
