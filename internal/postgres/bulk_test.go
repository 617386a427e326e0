package postgres_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// renamed are the same drafts as another request makes them.
func renamed(all []task.Draft) []task.Draft {
	again := append([]task.Draft(nil), all...)
	for i := range again {
		again[i].ID = uuid.Must(uuid.NewV7())
	}
	return again
}

func (f *fixture) batch(t *testing.T, key string, all []task.Draft) []task.ID {
	t.Helper()
	created, err := f.CreateBulk(t.Context(), key, all)
	require.NoError(t, err)
	ids := make([]task.ID, len(created))
	for i, answer := range created {
		require.NoError(t, answer.Err)
		ids[i] = answer.ID
	}
	return ids
}

func (f *fixture) stored(t *testing.T) int {
	t.Helper()
	return f.count(t, `SELECT count(*) FROM tasks`)
}

func TestCreateBulkAnswersInOrder(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(1000)
	all[7].Payload, all[7].MaxAttempts = json.RawMessage(`{"a": 1}`), 5
	all[8].ExecutionTime = time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	created, err := f.CreateBulk(t.Context(), "", all)
	require.NoError(t, err)
	require.Len(t, created, len(all))
	for i, answer := range created {
		require.NoError(t, answer.Err)
		require.Equal(t, all[i].ID, answer.ID)
	}
	require.InDelta(t, -time.Minute, created[7].Delay, float64(time.Minute))
	require.InDelta(t, time.Hour, created[8].Delay, float64(time.Minute))
	seventh := f.get(t, all[7].ID)
	require.JSONEq(t, `{"a": 1}`, string(seventh.Payload))
	require.Equal(t, 5, seventh.MaxAttempts)
	require.Equal(t, all[8].ExecutionTime, f.get(t, all[8].ID).ExecutionTime)
	require.Equal(t, 1000, f.stored(t))
}

func TestCreateBulkWithTheSameKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	const key = "key"
	all := drafts(5)
	all[1].Payload = json.RawMessage(`{"a": 1, "b": 2}`)
	first := f.batch(t, key, all)
	again := renamed(all)
	again[1].Payload = json.RawMessage(`{"b":2,"a":1}`)
	require.Equal(t, first, f.batch(t, key, again))

	changed := renamed(all)
	changed[4].Type = "bar"
	for name, other := range map[string][]task.Draft{
		"one changed": changed, "shorter": renamed(all[:4]), "one alone": renamed(all[:1]),
		"longer": append(renamed(all), draft()), "others": drafts(5),
	} {
		_, err := f.CreateBulk(t.Context(), key, other)
		require.ErrorIs(t, err, task.ErrKeyReused, name)
		require.Equal(t, 5, f.stored(t), name)
	}

	// The key of a task and that of a batch are two things.
	alone := draft()
	alone.Key = key
	require.Equal(t, []task.ID{alone.ID}, f.create(t, alone))
	require.Equal(t, first, f.batch(t, key, renamed(all)))
	require.Len(t, f.batch(t, strings.Repeat("k", task.MaxKeyLength), drafts(2)), 2)
}

func TestCreateBulkConcurrentlyWithTheSameKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(100)
	answers := make([][]task.Created, 6)
	var clients errgroup.Group
	for i := range answers {
		clients.Go(func() (err error) {
			answers[i], err = f.CreateBulk(t.Context(), "key", renamed(all))
			return err
		})
	}
	require.NoError(t, clients.Wait())
	for _, answer := range answers {
		for i := range answer {
			require.Equal(t, answers[0][i].ID, answer[i].ID)
		}
	}
	require.Equal(t, 100, f.stored(t))
}

func TestCreateBulkWhoseReplyWasLostHappensOnce(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"without a key": "", "with a key": "key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			through, url := newProxy(t, f.url)
			db := f.connect(t, url)
			all := drafts(10)
			through.loseReply("SELECT") // the tag of a statement whose INSERT is a part
			created, err := db.CreateBulk(t.Context(), key, all)
			require.NoError(t, err)
			require.Equal(t, 1, through.losses())
			for i, answer := range created {
				require.Equal(t, all[i].ID, answer.ID)
			}
			require.Equal(t, 10, f.stored(t))
		})
	}
}

func TestCreateBulkThatIsRefusedWritesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, key := range []string{"", "key"} {
		all := drafts(1000)
		all[500].Payload = json.RawMessage(`{"a": `)
		require.ErrorAs(t, second(f.CreateBulk(t.Context(), key, all)), new(*task.RejectedError))
		require.Zero(t, f.stored(t))
		require.Zero(t, f.count(t, `SELECT count(*) FROM batches`))
	}
}

// Some of a batch's tasks have ended and were removed since. The same request is
// answered as before, and another one is still told apart.
func TestCreateBulkAgainAfterSomeOfItIsGone(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(3)
	all[2].ExecutionTime = all[2].ExecutionTime.Add(time.Hour)
	ids := f.batch(t, "key", all)
	f.exec(t, `DELETE FROM tasks WHERE id = ANY($1)`, ids[:2])
	created, err := f.CreateBulk(t.Context(), "key", renamed(all))
	require.NoError(t, err)
	for i, answer := range created {
		require.Equal(t, ids[i], answer.ID)
	}
	require.Less(t, created[2].Delay, time.Hour, "it may have to be indexed")
	require.Greater(t, created[0].Delay, 365*24*time.Hour)
	require.Equal(t, 1, f.stored(t))
	require.ErrorIs(t, second(f.CreateBulk(t.Context(), "key", renamed(all[1:]))), task.ErrKeyReused)
}

// A batch from before batches had rows of their own is known by its tasks.
func TestCreateBulkAgainWithoutItsRow(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(3)
	ids := f.batch(t, "key", all)
	f.exec(t, `DELETE FROM batches`)
	require.Equal(t, ids, f.batch(t, "key", renamed(all)))
	require.ErrorIs(t, second(f.CreateBulk(t.Context(), "key", renamed(all[:2]))), task.ErrKeyReused)
}

// A page is bounded by bytes too, and all of the list is found in its pages.
func TestListEndsAPageOfLargeTasksEarly(t *testing.T) {
	t.Parallel()
	f := open(t)
	const large, n = 1 << 20, 11
	all := drafts(n)
	for i := range all {
		all[i].Payload = json.RawMessage(`{"a":"` + strings.Repeat("x", large) + `"}`)
	}
	f.create(t, all...)
	connections := f.Pool().Stat().NewConnsCount()
	for _, filter := range []task.Filter{{}, {Status: task.Submitted}} {
		filter.Limit = 1000
		var ids []task.ID
		var lengths []int
		for more := true; more; filter.After.ID = ids[len(ids)-1] {
			page, err := f.List(t.Context(), filter)
			require.NoError(t, err)
			more = page.Next != nil
			lengths = append(lengths, len(page.Tasks))
			ids = append(ids, idsOf(page.Tasks)...)
		}
		require.Equal(t, []int{4, 4, 3}, lengths)
		require.Len(t, ids, n)
		require.Subset(t, ids, idsOfDrafts(all))
	}
	require.Equal(t, connections, f.Pool().Stat().NewConnsCount(), "a page that is cut costs no connection")
	f.exec(t, `UPDATE tasks SET payload = NULL, result = json_build_array(repeat('x', $1))`, postgres.PageBytes)
	page, err := f.List(t.Context(), task.Filter{Limit: 1})
	require.NoError(t, err)
	require.NotNil(t, page.Next)
	require.Len(t, page.Tasks, 1)
	page, err = f.List(t.Context(), task.Filter{Limit: 1, After: task.Place{ID: all[1].ID}})
	require.NoError(t, err)
	require.Nil(t, page.Next)
	require.Len(t, page.Tasks, 1)
}
