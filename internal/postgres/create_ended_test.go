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

// ways are how drafts are created. Each returns the ids of the answers.
var ways = map[string]func(ctx context.Context, t *testing.T, db *postgres.DB, all []task.Draft) []task.ID{
	"one by one": func(ctx context.Context, t *testing.T, db *postgres.DB, all []task.Draft) []task.ID {
		t.Helper()
		return createdIDs(t, db.Create(ctx, all), nil)
	},
	"by key": func(ctx context.Context, t *testing.T, db *postgres.DB, all []task.Draft) []task.ID {
		t.Helper()
		for i := range all {
			all[i].Key = all[i].ID.String()
		}
		return createdIDs(t, db.Create(ctx, all), nil)
	},
	"in bulk": func(ctx context.Context, t *testing.T, db *postgres.DB, all []task.Draft) []task.ID {
		t.Helper()
		created, err := db.CreateBulk(ctx, "", all)
		return createdIDs(t, created, err)
	},
	"in bulk by key": func(ctx context.Context, t *testing.T, db *postgres.DB, all []task.Draft) []task.ID {
		t.Helper()
		created, err := db.CreateBulk(ctx, "bulk", all)
		return createdIDs(t, created, err)
	},
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

// A create that comes once more after the task has ended is that task.
func TestCreateAgainAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, create := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			all := drafts(3)
			ids := create(t.Context(), t, f.DB, all)
			f.run(t, ids[1:]...)
			require.Equal(t, ids, create(t.Context(), t, f.DB, all))
			f.createdOnce(t, ids...)
		})
	}
}

// A copy of a create stands still after its statement has begun; another copy creates the
// task, which runs and moves to the history meanwhile. When the first goes on, its statement
// sees neither: not the row that has gone from the index, nor the one that came to the
// history after it had begun.
func TestCreateWhoseCopyIsParkedUntilTheEnd(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one by one", "by key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			create, f := ways[name], open(t)
			all := drafts(2)
			// Somebody is about to insert the first of them.
			tx, err := f.sql.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			_, err = tx.Exec(t.Context(), `INSERT INTO tasks_open (id, task_type, execution_time, due_at) VALUES ($1, 'foo', now(), now())`,
				all[0].ID)
			require.NoError(t, err)
			parked := make(chan []task.ID, 1)
			go func() { parked <- create(t.Context(), t, f.DB, []task.Draft{all[0], all[1]}) }()
			f.awaitBlocked(t, 1)
			second := create(t.Context(), t, f.DB, []task.Draft{all[1]})
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
			require.Equal(t, ids, f.create(t, all...))
			f.createdOnce(t, ids...)
		})
	}
}
