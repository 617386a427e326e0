package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	refusal := func(severity, code string) error {
		// A server may speak any language, but not in this field.
		return fmt.Errorf("x: %w", &pgconn.PgError{
			SeverityUnlocalized: severity, Severity: "FATALE", Code: code, ConstraintName: "constraint",
		})
	}
	for name, c := range map[string]struct {
		err  error
		want any
	}{
		"not found":                   {fmt.Errorf("x: %w", task.ErrNotFound), postgres.Definite},
		"wrong status":                {&task.StatusError{Status: task.Done}, postgres.Definite},
		"no connection":               {&pgconn.ConnectError{}, postgres.NotDone},
		"no connection in time":       {errors.Join(context.DeadlineExceeded, &pgconn.ConnectError{}), postgres.NotDone},
		"connection broke":            {io.ErrUnexpectedEOF, postgres.MaybeDone},
		"no reply in time":            {context.DeadlineExceeded, postgres.MaybeDone},
		"given up":                    {context.Canceled, postgres.MaybeDone},
		"syntax error":                {refusal("ERROR", "42601"), postgres.Definite},
		"bad value":                   {refusal("ERROR", "22P05"), postgres.Definite},
		"check violated":              {refusal("ERROR", "23514"), postgres.Definite},
		"partition was made":          {&pgconn.PgError{Code: "23514"}, postgres.NotDone},
		"too complex":                 {refusal("ERROR", "54001"), postgres.Definite},
		"no permission":               {refusal("ERROR", "42501"), postgres.Definite},
		"deadlock":                    {refusal("ERROR", "40P01"), postgres.NotDone},
		"serialization":               {refusal("ERROR", "40001"), postgres.NotDone},
		"disk full":                   {refusal("ERROR", "53100"), postgres.NotDone},
		"lock not available":          {refusal("ERROR", "55P03"), postgres.NotDone},
		"query cancelled":             {refusal("ERROR", "57014"), postgres.NotDone},
		"I/O error":                   {refusal("ERROR", "58030"), postgres.NotDone},
		"read-only standby":           {refusal("ERROR", "25006"), postgres.NotDone},
		"backend ended by its admin":  {refusal("FATAL", "57P01"), postgres.MaybeDone},
		"backend ended by a crash":    {refusal("FATAL", "57P02"), postgres.MaybeDone},
		"idle in transaction":         {refusal("FATAL", "25P03"), postgres.MaybeDone},
		"the whole server is in fear": {refusal("PANIC", "XX000"), postgres.MaybeDone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, postgres.Classify(c.err))
		})
	}
}

// A caller that gives up learns whether its statement may have happened.
func TestGivingUpSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	f := open(t)
	t.Run("nothing reached the server", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// It says so when it is about to pause, and that is when we give up.
		warned := slog.New(slog.NewTextHandler(onWrite(cancel), nil))
		db, err := postgres.Open(t.Context(), postgres.Options{URL: "postgres://127.0.0.1:1/nowhere", Work: 1}, warned)
		require.NoError(t, err)
		defer db.Close()
		err = db.Create(ctx, drafts(1))[0].Err
		require.ErrorIs(t, err, task.ErrUnavailable)
		require.NotErrorIs(t, err, task.ErrUnknownOutcome)
	})
	t.Run("a commit may have", func(t *testing.T) {
		t.Parallel()
		through, url := newProxy(t, f.url)
		db := f.connect(t, url)
		id := f.tasks(t, 1, 1)[0]
		commit := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, id)
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- errorOf(db.Delete(ctx, id)) }()
		f.awaitBlocked(t, 1)
		cancel()
		require.ErrorIs(t, <-answer, task.ErrUnknownOutcome)
		commit()
		through.cut()
		require.Eventually(t, func() bool { return f.get(t, id).Status == task.Deleted }, patience, glance,
			"the backend commits although nobody listens")
	})
}

// onWrite is a log that nobody reads.
type onWrite func()

func (f onWrite) Write(line []byte) (int, error) {
	f()
	return len(line), nil
}

// A server that restarts in between is no reason to fail.
func TestABackendThatIsEndedIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 1)[0], f.session(t)
	finish := startInFlight(t, f, session, []task.ID{id})
	f.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	require.Eventually(t, func() bool { return f.blocked(t) == 1 && f.log.String() != "" }, patience, glance)
	require.Len(t, finish(), 1)
	require.Equal(t, 1, f.get(t, id).Attempt)
	require.Contains(t, f.log.String(), "tried again")
}

// Each connection prepared its statements before the schema changed. Nobody
// notices.
func TestStatementsOutliveAChangeOfTheSchema(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.tasks(t, 1, 1)[0]
	read := func() {
		var readers errgroup.Group
		for range 16 {
			readers.Go(func() error {
				_, err := f.Get(t.Context(), id)
				return err
			})
		}
		require.NoError(t, readers.Wait())
	}
	read()
	f.exec(t, `ALTER TABLE tasks ALTER COLUMN failure_message TYPE varchar(4200)`)
	read()
	require.NotContains(t, f.log.String(), "tried again", "it happens at once, on the same connection")
}

// A read that was given up changed nothing, whatever became of it.
func TestAReadHasNoUnknownOutcome(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.hold(t, `LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE`)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := f.Get(ctx, uuid.New())
		answer <- err
	}()
	f.awaitBlocked(t, 1)
	cancel()
	err := <-answer
	require.ErrorIs(t, err, task.ErrUnavailable)
	require.NotErrorIs(t, err, task.ErrUnknownOutcome)
}

// A pool whose connections all died in silence has a new one soon, and what no
// connection was had for has not happened.
func TestDeadConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	var warm errgroup.Group
	for range 8 {
		warm.Go(func() error {
			return db.Create(t.Context(), drafts(1))[0].Err
		})
	}
	require.NoError(t, warm.Wait())
	through.swallow()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // what an API waits for Postgres
	defer cancel()
	require.NoError(t, db.Create(ctx, drafts(1))[0].Err)
}
