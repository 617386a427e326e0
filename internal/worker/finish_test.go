package worker_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

func nothing(context.Context, *task.Task) (json.RawMessage, error) { return nil, nil }

// Postgres refuses the end of one task with an error that says nothing of another
// try. Its neighbours are recorded, and it is too once Postgres takes it.
func TestAnEndIsKeptWhateverTheError(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.exec(`CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.status = 'done' AND NEW.task_type = 'test' AND NEW.max_attempts = 7 THEN
			RAISE EXCEPTION 'odd' USING ERRCODE = 'XX000';
		END IF; RETURN NEW; END $$`)
	e.exec(`CREATE TRIGGER odd BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION odd()`)
	odd := e.add(1, 0, func(d *task.Draft) { d.MaxAttempts = 7 })[0]
	others := e.add(100, 0, nil)
	e.start(nothing, func(c *worker.Config) { c.Concurrency = 200 })
	for _, id := range others {
		e.await(id, task.Done)
	}
	require.Equal(t, task.Started, e.get(odd).Status)
	require.Positive(t, e.metric("timewheel_ends_retried_total"))
	require.InDelta(t, 1, e.metric("timewheel_ends_waiting"), 0)
	e.exec(`DROP TRIGGER odd ON tasks`)
	require.Equal(t, 1, e.await(odd, task.Done).Attempt)
	require.Eventually(t, func() bool { return e.metric("timewheel_ends_waiting") == 0 }, waitFor, tick)
}

// A row that somebody else has locked holds up the end of its own task, and
// neither other ends nor, by the slots that they hold, other starts.
func TestALockedRowHoldsUpItsOwnEndOnly(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	running, gate := make(chan struct{}), make(chan struct{})
	e.start(func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
		if tk.MaxAttempts == 7 {
			close(running)
			<-gate
		}
		return nil, nil
	}, func(c *worker.Config) { c.Concurrency = 10 })
	locked := e.add(1, 0, func(d *task.Draft) { d.MaxAttempts = 7 })[0]
	<-running
	tx, err := e.sql.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, locked)
	require.NoError(t, err)
	close(gate)
	for _, id := range e.add(100, 0, nil) {
		e.await(id, task.Done)
	}
	require.Equal(t, task.Started, e.get(locked).Status)
	require.NoError(t, tx.Commit(t.Context()))
	e.await(locked, task.Done)
}
