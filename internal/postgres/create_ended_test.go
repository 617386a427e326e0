package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// run lets tasks run to their end, and so move to the history.
func (f *fixture) run(t *testing.T, ids ...task.ID) {
	t.Helper()
	session := f.session(t)
	f.start(t, session, ids...)
	for _, id := range ids {
		require.Equal(t, task.Done, f.finish(t, session, id, 1, "").Status)
	}
	require.Equal(t, len(ids), f.count(t, `SELECT count(*) FROM tasks_ended WHERE id = ANY($1)`, ids))
}

// createdOnce requires that each of ids is one task, and that of those which ran none is to
// run again.
func (f *fixture) createdOnce(t *testing.T, ids ...task.ID) {
	t.Helper()
	require.Equal(t, len(ids), f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, ids))
	require.Equal(t, len(ids), f.count(t, `SELECT count(DISTINCT id) FROM tasks WHERE id = ANY($1)`, ids))
}

// ways are how drafts are created, and how a later try of the same call creates them. Each
// returns the ids of the answers.
var ways = map[string]struct {
	keys, bulk bool
	key        string
}{"one by one": {}, "by key": {keys: true}, "in bulk": {bulk: true}, "in bulk by key": {bulk: true, key: "bulk"}}

func createAs(ctx context.Context, t *testing.T, db *postgres.DB, way string, again bool, all []task.Draft) []task.ID {
	t.Helper()
	as := ways[way]
	if as.keys {
		for i := range all {
			all[i].Key = all[i].ID.String()
		}
	}
	switch {
	case as.bulk && again:
		created, err := db.CreateBulkAgain(ctx, as.key, all)
		return createdIDs(t, created, err)
	case as.bulk:
		created, err := db.CreateBulk(ctx, as.key, all)
		return createdIDs(t, created, err)
	case again:
		return createdIDs(t, db.CreateAgain(ctx, all), nil)
	}
	return createdIDs(t, db.Create(ctx, all), nil)
}

func createdIDs(t *testing.T, created []task.Created, err error) (ids []task.ID) {
	t.Helper()
	if err != nil {
		t.Errorf("create: %v", err)
	}
	for _, answer := range created {
		if answer.Err != nil {
			t.Errorf("create: %v", answer.Err)
		}
		ids = append(ids, answer.ID)
	}
	return ids
}

func TestCreateWhoseReplyWasLostHappensOnce(t *testing.T) {
	t.Parallel()
	for command, key := range map[string]string{"INSERT": "key", "SELECT": ""} { // the tags of the statements
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			through, url := newProxy(t, f.url)
			db := f.connect(t, url)
			all := drafts(10)
			all[3].Key = key
			through.loseReply(command)
			created := db.Create(t.Context(), all)
			require.Equal(t, 1, through.losses())
			for i, answer := range created {
				require.NoError(t, answer.Err)
				require.Equal(t, all[i].ID, answer.ID)
			}
			require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks`))
			if key == "" {
				require.Equal(t, 10, f.count(t, `SELECT count(*) FROM created_again`), "the first copy would be refused")
			}
		})
	}
}

// A create whose reply was lost is sent again after the task has ended, and is that task.
func TestCreateAgainAfterTheEnd(t *testing.T) {
	t.Parallel()
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			all := drafts(3)
			ids := createAs(t.Context(), t, f.DB, way, false, all)
			f.run(t, ids[1:]...)
			require.Equal(t, ids, createAs(t.Context(), t, f.DB, way, true, all))
			f.createdOnce(t, ids...)
		})
	}
}

// The copy that was sent first arrives after a later one has created the task, and after the
// task has ended.
func TestTheFirstCopyOfACreateComesLast(t *testing.T) {
	t.Parallel()
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			all := drafts(3)
			ids := createAs(t.Context(), t, f.DB, way, true, all)
			f.run(t, ids[1:]...)
			require.Equal(t, ids, createAs(t.Context(), t, f.DB, way, false, all))
			f.createdOnce(t, ids...)
		})
	}
}

// The ids that were sent again are forgotten with the tasks.
func TestWhatWasSentAgainIsForgotten(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.CreateAgain(t.Context(), drafts(3))
	f.exec(t, `UPDATE created_again SET at = at - interval '2 hours' WHERE id <> (SELECT id FROM created_again LIMIT 1)`)
	_, _, err := f.DeleteRest(t.Context(), time.Minute, 10)
	require.NoError(t, err)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM created_again`))
}

// The first copy of a create stands still after its statement has begun; a later copy creates
// the task, which runs and moves to the history meanwhile. When the first goes on, its statement
// sees neither: not the row that has gone from the index, nor what came after it had begun.
func TestCreateWhoseCopyIsParkedUntilTheEnd(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"one by one", "by key"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			all := drafts(2)
			// Somebody is about to insert the first of them.
			tx, err := f.sql.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			_, err = tx.Exec(t.Context(), `INSERT INTO tasks_open (id, task_type, execution_time, due_at) VALUES ($1, 'foo', now(), now())`,
				all[0].ID)
			require.NoError(t, err)
			parked := make(chan []task.ID, 1)
			go func() { parked <- createAs(t.Context(), t, f.DB, way, false, []task.Draft{all[0], all[1]}) }()
			f.awaitBlocked(t, 1)
			second := createAs(t.Context(), t, f.DB, way, true, []task.Draft{all[1]})
			f.run(t, second...)
			require.NoError(t, tx.Rollback(t.Context()))
			require.Equal(t, []task.ID{all[0].ID, all[1].ID}, <-parked)
			f.createdOnce(t, all[0].ID, all[1].ID)
		})
	}
}

// An API's clock may be wrong by much: its ids are looked for all the same.
func TestCreateAgainByAWrongClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"ahead": 1000 * time.Hour, "behind": -1000 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			require.NoError(t, f.ExtendHistory(t.Context(), time.Hour))
			all := drafts(2)
			for i := range all {
				all[i].ID = idMade(time.Now().Add(wrong))
			}
			ids := f.create(t, all...)
			f.run(t, ids...)
			require.Equal(t, ids, createdIDs(t, f.CreateAgain(t.Context(), all), nil))
			f.createdOnce(t, ids...)
		})
	}
}
