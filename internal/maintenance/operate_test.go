package maintenance_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

func (f *fixture) ask(t *testing.T, o task.Operation) uuid.UUID {
	t.Helper()
	o.ID = uuid.Must(uuid.NewV7())
	stored, err := f.db.CreateOperation(t.Context(), o)
	require.NoError(t, err)
	return stored.ID
}

func (f *fixture) operation(t *testing.T, id uuid.UUID) task.Operation {
	t.Helper()
	o, err := f.db.GetOperation(t.Context(), id)
	require.NoError(t, err)
	return o
}

// paged is the real store; after a page, the test may step in.
type paged struct {
	*postgres.DB
	done func(pages int, page task.OperationPage) error
	// pages counts them.
	pages int
}

func (p *paged) Operate(ctx context.Context, o *task.Operation, page task.OperationPage) (task.Acted, error) {
	acted, err := p.DB.Operate(ctx, o, page)
	p.pages++
	if err == nil {
		err = p.done(p.pages, page)
	}
	return acted, err
}

// What an operation does is in the due index when it has ended.
func TestAnOperationUpdatesTheDueIndex(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.maintainer(nil)
	ids := f.insert(t, 2500, soon, time.Millisecond)
	require.NoError(t, m.Lead(t.Context()))
	f.requireIndexed(t, ids)

	later := 10 * time.Minute
	moved := f.ask(t, task.Operation{Action: task.ActionReschedule, Shift: &later})
	require.NoError(t, m.OperateOnce(t.Context()))
	o := f.operation(t, moved)
	require.Equal(t, task.OperationDone, o.State)
	require.EqualValues(t, 2500, o.Done)
	f.requireIndexed(t, ids)

	far := 2 * horizon
	f.ask(t, task.Operation{Action: task.ActionReschedule, Shift: &far})
	require.NoError(t, m.OperateOnce(t.Context()))
	require.Empty(t, f.indexed(t), "they are beyond the horizon")
	f.ask(t, task.Operation{Action: task.ActionRun, Filter: task.Filter{Type: "foo"}})
	require.NoError(t, m.OperateOnce(t.Context()))
	f.requireIndexed(t, ids)
	require.Len(t, f.claim(t, 10), 10)
	f.ask(t, task.Operation{Action: task.ActionDelete})
	require.NoError(t, m.OperateOnce(t.Context()))
	require.Empty(t, f.indexed(t))
	require.Equal(t, 2500, f.count(t, `status = 'deleted'`))
}

// How many are left is known near the end, and done, skipped and left are all there are.
func TestWhatIsLeftIsTrue(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.insert(t, 7500, soon, 0)
	f.exec(t, `UPDATE tasks SET status = 'started_executing' WHERE id = ANY($1)`, parse(t, ids[:100]))
	id := f.ask(t, task.Operation{Action: task.ActionDelete})
	known := 0
	store := &paged{DB: f.db, done: func(pages int, page task.OperationPage) error {
		o := f.operation(t, id)
		if o.Left == nil {
			require.LessOrEqual(t, pages, 5)
			return nil
		}
		known++
		require.EqualValues(t, 7500, o.Done+o.Skipped+*o.Left)
		require.Equal(t, page.Last, *o.Left == 0)
		return nil
	}}
	require.NoError(t, f.maintainerOf(store, f.ring, nil).OperateOnce(t.Context()))
	require.Equal(t, 3, known)
	o := f.operation(t, id)
	require.Equal(t, [3]int64{7400, 100, 0}, [3]int64{o.Done, o.Skipped, *o.Left})
	require.Len(t, o.Samples, task.MaxSamples)
}

// A node that dies in the middle, before it knows of the page that it has committed, leaves an
// operation that another one ends. Each task is moved once.
func TestAnOperationGoesOnAfterItsNodeDied(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.insert(t, 4*maintenance.PageSize, soon, 0)
	shift := time.Minute
	id := f.ask(t, task.Operation{Action: task.ActionReschedule, Shift: &shift})
	dying := &paged{DB: f.db, done: func(pages int, _ task.OperationPage) error {
		if pages == 2 {
			return errDied
		}
		return nil
	}}
	require.ErrorIs(t, f.maintainerOf(dying, f.ring, nil).OperateOnce(t.Context()), errDied)
	require.EqualValues(t, 2*maintenance.PageSize, f.operation(t, id).Done)
	require.NoError(t, f.maintainer(nil).OperateOnce(t.Context()))
	require.EqualValues(t, 4*maintenance.PageSize, f.operation(t, id).Done)
	require.Equal(t, 4*maintenance.PageSize, f.count(t, `changes = 1`))
}

var errDied = assert.AnError

// Should several nodes lead, each page is done by one of them.
func TestOperationsOfSeveralLeaders(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.insert(t, 6*maintenance.PageSize, soon, 0)
	shift := time.Second
	var asked []uuid.UUID
	for range 3 {
		asked = append(asked, f.ask(t, task.Operation{Action: task.ActionReschedule, Shift: &shift}))
	}
	var nodes errgroup.Group
	for range 4 {
		m := f.maintainer(nil)
		nodes.Go(func() error { return m.OperateOnce(t.Context()) })
	}
	require.NoError(t, nodes.Wait())
	for _, id := range asked {
		o := f.operation(t, id)
		require.Equal(t, task.OperationDone, o.State)
		require.EqualValues(t, 6*maintenance.PageSize, o.Done)
	}
	require.Equal(t, 6*maintenance.PageSize, f.count(t, `changes = 3`))
}

// An operation that is stopped between two pages is left alone.
func TestAnOperationThatIsStopped(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.insert(t, 3*maintenance.PageSize, soon, 0)
	id := f.ask(t, task.Operation{Action: task.ActionDelete})
	store := &paged{DB: f.db, done: func(int, task.OperationPage) error {
		_, err := f.db.StopOperation(t.Context(), id)
		return err
	}}
	require.NoError(t, f.maintainerOf(store, f.ring, nil).OperateOnce(t.Context()))
	o := f.operation(t, id)
	require.Equal(t, task.OperationStopped, o.State)
	require.EqualValues(t, maintenance.PageSize, o.Done)
	require.Equal(t, maintenance.PageSize, f.count(t, `status = 'deleted'`))
}

// Postgres goes away in the middle, and the operation goes on by itself when it is back.
func TestAnOperationOutlivesAnOutageOfPostgres(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.insert(t, 5*maintenance.PageSize, soon, 0)
	parsed, err := url.Parse(f.sql.Config().ConnString())
	require.NoError(t, err)
	server := parsed.Host
	through, err := proxy.NewPostgres(func() string { return server })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, through.Close()) })
	parsed.Host = through.Addr()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: parsed.String(), Work: 6}, f.log)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	shift := time.Minute
	id := f.ask(t, task.Operation{Action: task.ActionReschedule, Shift: &shift})
	refused := make(chan struct{})
	store := &paged{DB: db, done: func(pages int, _ task.OperationPage) error {
		if pages == 2 {
			through.Refuse(true)
			close(refused)
		}
		return nil
	}}
	m := f.maintainerOf(store, f.ring, func(c *maintenance.Config) { c.Tick = 20 * time.Millisecond })
	ctx, stop := context.WithCancel(t.Context())
	var node errgroup.Group
	node.Go(func() error { return m.Run(ctx) })
	<-refused
	require.Equal(t, task.OperationRunning, f.operation(t, id).State)
	through.Refuse(false)
	require.Eventually(t, func() bool { return f.operation(t, id).State == task.OperationDone }, patience, glance)
	stop()
	require.NoError(t, node.Wait())
	require.EqualValues(t, 5*maintenance.PageSize, f.operation(t, id).Done)
	require.Equal(t, 5*maintenance.PageSize, f.count(t, `changes = 1`))
}
