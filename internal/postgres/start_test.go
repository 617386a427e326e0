package postgres_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func TestStartReturnsWhatAHandlerNeeds(t *testing.T) {
	t.Parallel()
	f := open(t)
	wanted := draft()
	wanted.Payload, wanted.MaxAttempts = json.RawMessage(`{"url": "x"}`), 3
	f.create(t, wanted)
	session := f.session(t)
	started := f.start(t, session, wanted.ID)[0]
	stored := f.get(t, wanted.ID)
	require.Equal(t, task.Task{
		ID: wanted.ID, Type: "foo", Status: task.Started, ExecutionTime: wanted.ExecutionTime, DueAt: wanted.ExecutionTime,
		Payload: stored.Payload, Attempt: 1, MaxAttempts: 3, WorkerID: session,
		StartedAt: stored.StartedAt, CreatedAt: stored.CreatedAt,
	}, started)
	require.JSONEq(t, string(wanted.Payload), string(started.Payload))
	require.Equal(t, task.Started, stored.Status)
	require.Equal(t, session, stored.WorkerID)
	lateness, ok := started.Lateness()
	require.True(t, ok)
	require.GreaterOrEqual(t, lateness, time.Minute)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1 AND task_ids = $2`,
		session, []task.ID{wanted.ID}))
}

// A refused task must not keep its neighbours from starting.
func TestStartRefusesOneTaskOfABatch(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := f.session(t)
	for name, refused := range map[string]func(t *testing.T) task.ID{
		"never created": func(*testing.T) task.ID { return uuid.New() },
		"not due yet": func(t *testing.T) task.ID {
			t.Helper()
			later := draft()
			later.ExecutionTime = later.ExecutionTime.Add(time.Hour)
			return f.create(t, later)[0]
		},
		"deleted": func(t *testing.T) task.ID {
			t.Helper()
			id := f.tasks(t, 1, 1)[0]
			require.NoError(t, f.Delete(t.Context(), id))
			return id
		},
		"started": func(t *testing.T) task.ID {
			t.Helper()
			id := f.tasks(t, 1, 9)[0]
			f.start(t, other, id)
			return id
		},
		"done": func(t *testing.T) task.ID {
			t.Helper()
			id := f.tasks(t, 1, 9)[0]
			f.start(t, other, id)
			require.Equal(t, task.Done, f.finish(t, other, id, 1, "").Status)
			return id
		},
		"failed": func(t *testing.T) task.ID {
			t.Helper()
			id := f.tasks(t, 1, 1)[0]
			f.start(t, other, id)
			require.Equal(t, task.Failed, f.finish(t, other, id, 1, task.Panic).Status)
			return id
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, good := refused(t), f.tasks(t, 2, 1)
			before, _ := f.Get(t.Context(), id)
			started, _, err := f.Start(t.Context(), f.session(t), 1, everyType, []task.ID{good[1], id, good[0]})
			require.NoError(t, err)
			require.ElementsMatch(t, good, idsOf(started))
			after, _ := f.Get(t.Context(), id)
			require.Equal(t, before, after)
		})
	}
}

func TestStartIsNeverEarlyByPostgresClock(t *testing.T) {
	t.Parallel()
	f := open(t)
	soon, session := draft(), f.session(t)
	now, err := f.Now(t.Context())
	require.NoError(t, err)
	soon.ExecutionTime = now.Add(2 * time.Second)
	f.create(t, soon)
	var started []task.Task
	refused := 0
	require.Eventually(t, func() bool {
		started, _, err = f.Start(t.Context(), session, f.seq.Add(1), everyType, []task.ID{soon.ID})
		if err == nil && len(started) == 0 {
			refused++
		}
		return err != nil || len(started) > 0
	}, patience, glance)
	require.NoError(t, err)
	require.Positive(t, refused)
	require.False(t, started[0].StartedAt.Before(soon.ExecutionTime))
}

func TestStartNeedsALiveSession(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, session := range map[string]func(t *testing.T) uuid.UUID{
		"unknown": func(*testing.T) uuid.UUID { return uuid.New() },
		"dead": func(t *testing.T) uuid.UUID {
			t.Helper()
			session := f.session(t)
			require.Equal(t, 1, must(f.End(t.Context(), session))(t).Sessions)
			return session
		},
		"lapsed": func(t *testing.T) uuid.UUID {
			t.Helper()
			session := f.session(t)
			f.lapse(t, session, 0)
			return session
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := f.tasks(t, 3, 1)
			started, _, err := f.Start(t.Context(), session(t), 1, everyType, ids)
			require.NoError(t, err)
			require.Empty(t, started)
			require.Equal(t, 3, f.count(t, `SELECT count(*) FROM tasks
				WHERE id = ANY($1) AND status = 'submitted' AND attempt = 0`, ids))
		})
	}
}

func TestStartCountsTheAttempts(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 3)[0], f.session(t)
	for attempt := 1; attempt <= 3; attempt++ {
		require.Equal(t, attempt, f.start(t, session, id)[0].Attempt)
		f.finish(t, session, id, attempt, task.HandlerError)
		f.exec(t, `UPDATE tasks SET due_at = execution_time`)
	}
	require.Equal(t, task.Failed, f.get(t, id).Status)
}

func TestStartAgainUnderTheSameNumberIsTheSameStart(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 5, 9), f.session(t)
	first, _, err := f.Start(t.Context(), session, 1, everyType, ids[:4])
	require.NoError(t, err)
	again, _, err := f.Start(t.Context(), session, 1, everyType, ids)
	require.NoError(t, err)
	require.ElementsMatch(t, first, again)
	require.Equal(t, task.Submitted, f.get(t, ids[4]).Status, "the number stands for the first call")
	require.Equal(t, 4, f.count(t, `SELECT count(*) FROM tasks WHERE attempt = 1`))
}

func TestSubmittedPicksWhatStillHasToRun(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 1), f.session(t)
	later := draft()
	later.ExecutionTime = later.ExecutionTime.Add(time.Hour)
	ids = append(ids, f.create(t, later)...)
	f.start(t, session, ids[0])
	require.NoError(t, f.Delete(t.Context(), ids[1]))
	waiting, err := f.Submitted(t.Context(), append(ids, uuid.New()))
	require.NoError(t, err)
	require.Len(t, waiting, 2)
	slices.SortFunc(waiting, func(a, b task.DueIn) int { return int(a.Delay - b.Delay) })
	require.Equal(t, []task.ID{ids[2], ids[3]}, []task.ID{waiting[0].ID, waiting[1].ID})
	require.InDelta(t, -time.Minute, waiting[0].Delay, float64(patience))
	require.InDelta(t, 59*time.Minute, waiting[1].Delay, float64(patience))
}

// must unpacks a call that may not fail.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return value
	}
}

// One row that somebody else has locked holds up its own start only.
func TestStartPassesByALockedRow(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 10, 1), f.session(t)
	unlock := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, ids[3])
	started, retried, err := f.Start(t.Context(), session, 1, everyType, ids)
	require.NoError(t, err)
	require.True(t, retried)
	unlock()
	// What the first try had locked itself may be passed by as well; it is refused
	// like any other, and started by a later call.
	rest, _, err := f.Start(t.Context(), session, 2, everyType, ids)
	require.NoError(t, err)
	require.ElementsMatch(t, ids, append(idsOf(started), idsOf(rest)...))
	require.Contains(t, idsOf(rest), ids[3])
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'started_executing' AND attempt = 1`))
}

// However large the payloads of a start are, its reply is small, and each task
// has its own payload in the end.
func TestStartOfLargePayloads(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(40)
	for i := range all {
		switch i % 4 {
		case 1:
			all[i].Payload = json.RawMessage(`{"n":` + strconv.Itoa(i) + `}`)
		case 2, 3:
			all[i].Payload = json.RawMessage(`{"n":"` + strings.Repeat(strconv.Itoa(i), 100_000) + `"}`)
		}
	}
	ids, session := f.create(t, all...), f.session(t)
	for _, call := range []string{"start", "receipt"} {
		started := issue(t, f.DB, session, 1, ids)
		require.Len(t, started, len(ids), call)
		for _, tk := range started {
			want := all[slices.Index(ids, tk.ID)].Payload
			if want == nil {
				require.Nil(t, tk.Payload, call)
			} else {
				require.JSONEq(t, string(want), string(tk.Payload), call)
			}
		}
	}
}
