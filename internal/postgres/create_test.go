package postgres_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

func TestCreateAnswersInOrder(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(100)
	for i := range all {
		all[i].ExecutionTime = all[i].ExecutionTime.Add(time.Duration(i) * time.Hour)
		all[i].Payload = json.RawMessage(fmt.Sprintf(`{"i": %d}`, i))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	created, err := f.Create(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, created, len(all))
	for i, answer := range created {
		stored := f.get(t, all[i].ID)
		require.NoError(t, answer.Err)
		require.Equal(t, all[i].ID, answer.ID)
		require.InDelta(t, stored.ExecutionTime.Sub(stored.CreatedAt), answer.In, float64(patience))
		require.Equal(t, task.Submitted, stored.Status)
		require.JSONEq(t, string(all[i].Payload), string(stored.Payload))
		require.True(t, stored.DueAt.Equal(all[i].ExecutionTime))
	}
}

func TestCreateAgainIsTheSameTask(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(10)
	f.create(t, all[:5]...)
	require.Equal(t, idsOfDrafts(all), f.create(t, all...))
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks`))
}

func TestCreateWhoseReplyWasLostHappensOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	proxy, url := newProxy(t, f.url)
	db := f.connect(t, url)
	all := drafts(10)
	all[3].Key = "key"
	proxy.loseReply("INSERT")
	created, err := db.Create(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, 1, proxy.losses())
	for i, answer := range created {
		require.NoError(t, answer.Err)
		require.Equal(t, all[i].ID, answer.ID)
	}
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks`))
}

func TestCreateWithTheSameKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := draft()
	first.Key, first.Payload = "key", json.RawMessage(`{"a": 1, "b": 2}`)
	f.create(t, first)
	for name, change := range map[string]func(*task.Draft){
		"the same":          func(*task.Draft) {},
		"another spelling":  func(d *task.Draft) { d.Payload = json.RawMessage(`{"b":2,"a":1}`) },
		"another type":      func(d *task.Draft) { d.Type = "bar" },
		"another time":      func(d *task.Draft) { d.ExecutionTime = d.ExecutionTime.Add(time.Microsecond) },
		"more attempts":     func(d *task.Draft) { d.MaxAttempts++ },
		"another payload":   func(d *task.Draft) { d.Payload = json.RawMessage(`{"a":1}`) },
		"no payload at all": func(d *task.Draft) { d.Payload = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := first
			again.ID = uuid.Must(uuid.NewV7())
			change(&again)
			created, err := f.Create(t.Context(), []task.Draft{again})
			require.NoError(t, err)
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM tasks`))
			if name == "the same" || name == "another spelling" {
				require.NoError(t, created[0].Err)
				require.Equal(t, first.ID, created[0].ID)
				require.InDelta(t, -time.Minute, created[0].In, float64(time.Minute))
				require.Negative(t, created[0].In)
				return
			}
			require.ErrorIs(t, created[0].Err, task.ErrKeyReused)
		})
	}
}

func TestCreateTwoOfOneKeyInABatch(t *testing.T) {
	t.Parallel()
	f := open(t)
	same, other := draft(), draft()
	same.Key, other.Key = "same", "other"
	again, changed := same, other
	again.ID, changed.ID = uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	changed.Type = "bar"
	created, err := f.Create(t.Context(), []task.Draft{same, other, again, changed, draft()})
	require.NoError(t, err)
	require.Equal(t, same.ID, created[0].ID)
	require.Equal(t, same.ID, created[2].ID)
	require.Equal(t, other.ID, created[1].ID)
	require.ErrorIs(t, created[3].Err, task.ErrKeyReused)
	require.NoError(t, created[4].Err)
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM tasks`))
}

func TestCreateConcurrentlyWithTheSameKeys(t *testing.T) {
	t.Parallel()
	f := open(t)
	const clients, keys = 6, 20
	at := draft().ExecutionTime
	answers := make([]map[string]task.ID, clients)
	var all errgroup.Group
	for client := range clients {
		answers[client] = map[string]task.ID{}
		all.Go(func() error {
			batch := drafts(keys)
			for i := range batch {
				batch[i].Key, batch[i].ExecutionTime = strconv.Itoa(i), at
			}
			rand.Shuffle(keys, func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			created, err := f.Create(t.Context(), batch)
			for i, answer := range created {
				answers[client][batch[i].Key] = answer.ID
			}
			return err
		})
	}
	require.NoError(t, all.Wait())
	require.Len(t, answers[0], keys)
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
	require.Equal(t, keys, f.count(t, `SELECT count(*) FROM tasks`))
}

func TestCreateRejectsAPoisonedPayloadAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, poison := range map[string]string{
		"NUL escape":     `{"a": "\u0000"}`,
		"NUL byte":       "{\"a\": \"\x00\"}",
		"huge number":    `{"a": 1e400000}`,
		"lone surrogate": `{"a": "\ud800"}`,
		"not UTF-8":      "{\"a\": \"\xff\"}",
		"not JSON":       `{"a": `,
		"too deep":       strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := drafts(51)
			at := rand.IntN(len(all))
			all[at].Payload = json.RawMessage(poison)
			created, err := f.Create(t.Context(), all)
			require.NoError(t, err)
			require.Len(t, created, len(all))
			for i, answer := range created {
				if i == at {
					var rejected *task.RejectedError
					require.ErrorAs(t, answer.Err, &rejected)
					require.NotEmpty(t, rejected.Reason)
					continue
				}
				require.NoError(t, answer.Err)
				require.Equal(t, all[i].ID, answer.ID)
			}
			good := slices.Delete(idsOfDrafts(all), at, at+1)
			require.Equal(t, 50, f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, good))
			require.ErrorIs(t, second(f.Get(t.Context(), all[at].ID)), task.ErrNotFound)
		})
	}
}

func TestCreateKeepsTimesExactly(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(20)
	for i := range all {
		all[i].ExecutionTime = time.UnixMicro(rand.Int64N(4e15)).UTC()
	}
	all[0].ExecutionTime, all[1].ExecutionTime = task.MinTime, task.MaxTime
	all[2].ExecutionTime = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
	all[3].ExecutionTime = time.Date(9999, 12, 31, 23, 59, 58, 999_999_000, time.UTC)
	all[4].ExecutionTime = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	f.create(t, all...)
	for _, draft := range all {
		got := f.get(t, draft.ID)
		require.Equal(t, draft.ExecutionTime, got.ExecutionTime, "in UTC, to the microsecond")
		require.Equal(t, draft.ExecutionTime, got.DueAt)
		require.Equal(t, time.UTC, got.CreatedAt.Location())
	}
}

func idsOfDrafts(all []task.Draft) []task.ID {
	ids := make([]task.ID, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	return ids
}

// second is the error of a call whose value does not matter.
func second[T any](_ T, err error) error { return err }
