package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// put changes a type and wants no error.
func (f *fixture) put(t *testing.T, declared task.Type) task.Type {
	t.Helper()
	declared.MaxAttempts = max(1, declared.MaxAttempts)
	put, _, err := f.PutType(t.Context(), declared)
	require.NoError(t, err)
	return put
}

func TestTypesAreReadAsTheyWerePut(t *testing.T) {
	t.Parallel()
	f := open(t)
	before, err := f.Types(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, before.Names, namesOf(before.Changed))
	require.Subset(t, before.Names, task.Shipped())

	timeout, two := 90*time.Second, 2
	secret, previous := task.Secret("s"), task.Secret("p")
	full := task.Type{
		Name: "mine", Handler: task.WebhookHandler, MaxAttempts: 3, Timeout: &timeout, Paused: true, MaxRunning: &two,
		Webhook: &task.Webhook{URL: "https://a.b/", Headers: map[string]string{"A": "b"}, Secret: &secret, PreviousSecret: &previous},
		Retry:   &task.Retry{Delay: time.Second, Factor: 3, MaxDelay: time.Hour, Jitter: 0.5},
		Rate:    &task.Rate{PerSecond: 0.5, Burst: 7}, PayloadSchema: []byte(`{ "type":"object" }`),
	}
	put, created, err := f.PutType(t.Context(), full)
	require.NoError(t, err)
	require.True(t, created)
	got, err := f.GetType(t.Context(), "mine")
	require.NoError(t, err)
	require.Equal(t, put, got)
	full.Version, full.UpdatedAt = put.Version, put.UpdatedAt
	require.Equal(t, full, put)
	since, err := f.Types(t.Context(), before.Version)
	require.NoError(t, err)
	require.Equal(t, []string{"mine"}, namesOf(since.Changed))
	require.Len(t, since.Names, len(before.Names)+1)
	none, err := f.Types(t.Context(), since.Version)
	require.NoError(t, err)
	require.Equal(t, task.Types{Version: since.Version}, none)

	// A put replaces all but the secrets that it does not name.
	empty := task.Secret("")
	replaced, created, err := f.PutType(t.Context(), task.Type{
		Name: "mine", Handler: task.WebhookHandler, MaxAttempts: 1,
		Webhook: &task.Webhook{URL: "https://c.d/", PreviousSecret: &empty},
	})
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, &task.Webhook{URL: "https://c.d/", Secret: &secret}, replaced.Webhook)
	require.Nil(t, replaced.MaxRunning)

	require.NoError(t, f.DeleteType(t.Context(), "mine"))
	require.ErrorIs(t, f.DeleteType(t.Context(), "mine"), task.ErrNoSuchType)
	require.ErrorIs(t, second(f.GetType(t.Context(), "mine")), task.ErrNoSuchType)
	require.ErrorIs(t, f.DeleteType(t.Context(), "foo"), task.ErrTypeShips)
	gone, err := f.Types(t.Context(), since.Version)
	require.NoError(t, err)
	require.Empty(t, gone.Changed)
	require.Equal(t, before.Names, gone.Names)
}

func namesOf(types []task.Type) (names []string) {
	for _, t := range types {
		names = append(names, t.Name)
	}
	return names
}

func TestTypesAreBounded(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `INSERT INTO types (name, handler, version)
		SELECT 'n' || n, 'lease', 1 FROM generate_series(1, $1 - (SELECT count(*) FROM types)) n`, task.MaxTypes)
	_, _, err := f.PutType(t.Context(), task.Type{Name: "one-more", Handler: task.Lease, MaxAttempts: 1})
	require.ErrorIs(t, err, task.ErrTooManyTypes)
	f.put(t, task.Type{Name: "n1", Handler: task.Lease})
}

// A pause that was answered holds: whatever was on its way, nothing starts afterwards.
func TestNothingStartsAfterAPause(t *testing.T) {
	t.Parallel()
	const rounds, sessions = 40, 3
	f := open(t)
	f.exec(t, `CREATE TABLE begun (id uuid, type text, at timestamptz)`)
	for round := range rounds {
		f.put(t, task.Type{Name: "zz", Handler: task.Lease})
		ids := f.tasks(t, 30, 1)
		f.exec(t, `UPDATE tasks SET task_type = CASE WHEN id = ANY($1) THEN 'zz' ELSE 'foo' END, due_at = now() WHERE id = ANY($2)`,
			ids[:15], ids)
		var paused atomic.Bool
		var starting sync.WaitGroup
		for i := range sessions {
			session := f.session(t)
			starting.Go(func() {
				for n := 10 * i; n < 10*i+10; n++ {
					begun := paused.Load()
					started, _, err := f.Start(t.Context(), session, f.seq.Add(1), everyType, []task.ID{ids[n], ids[29-n]})
					if err != nil {
						t.Errorf("start: %v", err)
					}
					for _, s := range started {
						if begun && s.Type == "zz" {
							t.Errorf("round %d: a start began after the pause was answered", round)
						}
					}
				}
			})
		}
		f.put(t, task.Type{Name: "zz", Handler: task.Lease, Paused: true})
		paused.Store(true)
		running := f.count(t, `SELECT count(*) FROM tasks WHERE task_type = 'zz' AND status = 'started_executing'`)
		starting.Wait()
		require.Equal(t, running, f.count(t, `SELECT count(*) FROM tasks WHERE task_type = 'zz' AND status = 'started_executing'`))
		require.Equal(t, 15, f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1) AND task_type = 'foo' AND status = 'started_executing'`, ids))
		f.exec(t, `DELETE FROM tasks`)
	}
}

// A type that is not among those that were claimed does not start: its pause is not
// looked at.
func TestAStartIsOfItsTypesAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.tasks(t, 2, 1)
	f.exec(t, `UPDATE tasks SET task_type = 'bar' WHERE id = $1`, ids[0])
	started, _, err := f.Start(t.Context(), f.session(t), 1, []string{"foo", "none"}, ids)
	require.NoError(t, err)
	require.Equal(t, ids[1:], idsOf(started))
}

// No task is created of a type that was deleted: one of the two is refused, whichever
// comes second, and the neighbours of the task are not concerned.
func TestCreateRacesWithTheDeletionOfItsType(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := f.connect(t, f.url)
	for round := range 50 {
		name := fmt.Sprintf("race-%d", round)
		f.put(t, task.Type{Name: name, Handler: task.Lease})
		drafts := drafts(3)
		drafts[1].Type = name
		if round%2 == 0 {
			drafts[0].Key, drafts[1].Key = name, name+"1"
		}
		var created []task.Created
		var creating sync.WaitGroup
		creating.Go(func() { created = other.Create(t.Context(), drafts) })
		err := f.DeleteType(t.Context(), name)
		creating.Wait()
		require.NoError(t, created[0].Err)
		require.NoError(t, created[2].Err)
		there := f.count(t, `SELECT count(*) FROM tasks WHERE id = $1`, drafts[1].ID)
		if err == nil {
			require.ErrorIs(t, created[1].Err, task.ErrUnknownType)
			require.Zero(t, there)
		} else {
			require.ErrorIs(t, err, task.ErrTypeInUse)
			require.NoError(t, created[1].Err)
			require.Equal(t, 1, there)
		}
	}
	bulk := drafts(3)
	bulk[2].Type = "never"
	for _, key := range []string{"", "key"} {
		_, err := f.CreateBulk(t.Context(), key, bulk)
		require.ErrorIs(t, err, task.ErrUnknownType)
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM batches`))
}

// A worker of before knows no pause: none is set while it lives, and it opens no session
// while one is.
func TestWorkersOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	f := open(t)
	older := `INSERT INTO workers (id, host, lease_until) VALUES ($1, 'older', clock_timestamp() + interval '1 min')`
	id := uuid.New()
	f.exec(t, older, id)
	_, _, err := f.PutType(t.Context(), task.Type{Name: "foo", Handler: task.Builtin, MaxAttempts: 1, Paused: true})
	require.ErrorIs(t, err, task.ErrOlderWorkers)
	f.put(t, task.Type{Name: "foo", Handler: task.Builtin})
	f.exec(t, `UPDATE workers SET dead_at = now() WHERE id = $1`, id)
	f.put(t, task.Type{Name: "foo", Handler: task.Builtin, Paused: true})
	_, err = f.sql.Exec(t.Context(), older, uuid.New())
	require.ErrorContains(t, err, "paused or limited")
	f.put(t, task.Type{Name: "foo", Handler: task.Builtin})
	f.exec(t, older, uuid.New())
}

// An idempotency key names the same task, also when the attempts that its type gives have
// changed since.
func TestAttemptsOfTheTypeAreNotCompared(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := draft()
	d.Key, d.MaxAttempts, d.AttemptsByType = "key", 1, true
	first := f.create(t, d)
	d.ID, d.MaxAttempts = uuid.New(), 5
	require.Equal(t, first, f.create(t, d))
	d.AttemptsByType = false
	require.ErrorIs(t, f.DB.Create(t.Context(), []task.Draft{d})[0].Err, task.ErrKeyReused)
}

func TestTheRetryOfATypeIsThatOfItsTasks(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.put(t, task.Type{
		Name: "zz", Handler: task.Lease, Retry: &task.Retry{Delay: 5 * time.Second, Factor: 3, MaxDelay: 20 * time.Second},
	})
	ids := f.tasks(t, 2, 9)
	f.exec(t, `UPDATE tasks SET task_type = 'zz' WHERE id = $1`, ids[0])
	session := f.session(t)
	for attempt, want := range []time.Duration{5 * time.Second, 15 * time.Second, 20 * time.Second} {
		f.exec(t, `UPDATE tasks SET due_at = now() - interval '1 s' WHERE id = $1`, ids[0])
		f.start(t, session, ids[0])
		ended := f.finish(t, session, ids[0], attempt+1, task.HandlerError)
		require.InDelta(t, want, ended.Delay, float64(time.Second))
	}
	f.start(t, session, ids[1])
	ended := f.finish(t, session, ids[1], 1, task.HandlerError)
	require.InDelta(t, time.Second, ended.Delay, float64(300*time.Millisecond), "a second, and a fifth more or less")
}
