package postgres_test

import (
	"context"
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
	created := f.Create(t.Context(), all)
	require.Len(t, created, len(all))
	for i, answer := range created {
		stored := f.get(t, all[i].ID)
		require.NoError(t, answer.Err)
		require.Equal(t, all[i].ID, answer.ID)
		require.InDelta(t, stored.ExecutionTime.Sub(stored.CreatedAt), answer.Delay, float64(patience))
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

// Those of the drafts whose tasks have ended meanwhile do not keep the others from being new.
func TestCreateAgainAfterSomeHaveEnded(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(6)
	all[0].Key, all[1].Key, all[4].Key = "ended", "open", "new"
	f.create(t, all[:4]...)
	session := f.session(t)
	f.start(t, session, all[0].ID, all[2].ID)
	for _, id := range []task.ID{all[0].ID, all[2].ID} {
		require.Equal(t, task.Done, f.finish(t, session, id, 1, "").Status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, answer := range f.Create(ctx, all) {
		require.NoError(t, answer.Err, i)
		require.Equal(t, all[i].ID, answer.ID)
	}
	require.Equal(t, len(all), f.count(t, `SELECT count(*) FROM tasks`))
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
			created := f.Create(t.Context(), []task.Draft{again})
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM tasks`))
			if name == "the same" || name == "another spelling" {
				require.NoError(t, created[0].Err)
				require.Equal(t, first.ID, created[0].ID)
				require.LessOrEqual(t, created[0].Delay, -time.Minute, "it was due a minute before it was made")
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
	created := f.Create(t.Context(), []task.Draft{same, other, again, changed, draft()})
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
			for i, answer := range f.Create(t.Context(), batch) {
				if answer.Err != nil {
					return answer.Err
				}
				answers[client][batch[i].Key] = answer.ID
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	require.Len(t, answers[0], keys)
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
	require.Equal(t, keys, f.count(t, `SELECT count(*) FROM tasks`))
}

// A payload is kept as it came, whatever it holds: bytes, digits, order and all.
func TestPayloadsAreKeptAsTheyCame(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, payload := range []string{
		`{"b":1,"a":2,"price":1e2}`, `{ "a" : 9007199254740993, "a": 1.0 }`, `{"n":1e308,"m":-1e-308,"k":1e400000}`,
		`{"n":0.` + strings.Repeat("0", 20_000) + `1}`, `{"a":"\u0000\ud800"}`, `{"a":"\u003c\/é"}`, `{}`,
		`{"n":[` + strings.Repeat("1e308,", 40_000) + `1]}`,
	} {
		d := draft()
		d.Payload = json.RawMessage(payload)
		id := f.create(t, d)[0]
		require.Equal(t, payload, string(f.get(t, id).Payload))
		started := f.start(t, f.session(t), id)
		require.Equal(t, payload, string(started[0].Payload))
	}
}

func TestCreateRejectsWhatNoColumnHoldsAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, poison := range map[string]string{
		"NUL byte":  "{\"a\": \"\x00\"}",
		"not UTF-8": "{\"a\": \"\xff\"}",
		"not JSON":  `{"a": `,
		"too deep":  strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := drafts(51)
			at := rand.IntN(len(all))
			all[at].Payload = json.RawMessage(poison)
			created := f.Create(t.Context(), all)
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

// refuseTypes lets the server refuse tasks of a type with an SQLSTATE: "22P02" is a
// value that no column holds, and "53100" a full disk.
func (f *fixture) refuseTypes(t *testing.T, codes map[string]string) {
	t.Helper()
	for taskType, code := range codes {
		f.exec(t, `CREATE FUNCTION refuse_`+taskType+`() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION 'refused' USING ERRCODE = '`+code+`'; END $$`)
		f.exec(t, `CREATE TRIGGER refuse_`+taskType+` BEFORE INSERT ON tasks FOR EACH ROW
			WHEN (NEW.task_type = '`+taskType+`') EXECUTE FUNCTION refuse_`+taskType+`()`)
	}
}

// One draft is refused for good, so the others are committed in parts. Another one
// fails its part for a while: those that were committed by then are not told that
// nothing was changed.
func TestCreateAnswersWhatWasCommittedBesideWhatWasNot(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.refuseTypes(t, map[string]string{"poison": "22P02", "unlucky": "53100"})
	all := drafts(40)
	all[3].Type, all[37].Type = "poison", "unlucky"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	created := f.Create(ctx, all)
	stored := 0
	for i, answer := range created {
		exists := f.count(t, `SELECT count(*) FROM tasks WHERE id = $1`, all[i].ID)
		stored += exists
		switch {
		case i == 3:
			require.ErrorAs(t, answer.Err, new(*task.RejectedError))
			require.Zero(t, exists)
		case answer.Err == nil:
			require.Equal(t, all[i].ID, answer.ID)
			require.Equal(t, 1, exists)
		default:
			require.ErrorIs(t, answer.Err, task.ErrUnavailable)
			require.Zero(t, exists, "draft %d: nothing was changed, it says", i)
		}
	}
	require.GreaterOrEqual(t, stored, 19)
	require.ErrorIs(t, created[37].Err, task.ErrUnavailable)
}

// The drafts that are new are committed, and then the look at the others fails:
// that is their answer alone.
func TestCreateAnswersWhatWasCommittedBesideAKeyThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	f := open(t)
	earlier := drafts(2)
	again, fresh := drafts(2), draft()
	for i := range earlier {
		earlier[i].Key = strconv.Itoa(i)
		again[i].Key = earlier[i].Key
	}
	f.create(t, earlier...)
	fresh.Key = "free"
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	through.onReply("SELECT 2", cancel) // of the look-up
	created := db.Create(ctx, append(again, fresh))
	require.ErrorIs(t, created[0].Err, task.ErrUnknownOutcome)
	require.ErrorIs(t, created[1].Err, task.ErrUnknownOutcome)
	require.NoError(t, created[2].Err)
	require.Equal(t, fresh.ID, created[2].ID)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM tasks WHERE id = $1`, fresh.ID))
}

// A key stays that of the task which was deleted: to answer as if it would run
// would be untrue.
func TestCreateWithTheKeyOfADeletedTask(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := draft()
	d.Key = "key"
	require.NoError(t, f.Delete(t.Context(), f.create(t, d)[0]))
	d.ID = uuid.Must(uuid.NewV7())
	require.ErrorIs(t, f.Create(t.Context(), []task.Draft{d})[0].Err, task.ErrDeleted)

	all := drafts(3)
	ids := f.batch(t, "batch", all)
	require.NoError(t, f.Delete(t.Context(), ids[0]))
	require.Equal(t, ids, f.batch(t, "batch", renamed(all)), "some of them still run")
	require.NoError(t, f.Delete(t.Context(), ids[1]))
	require.NoError(t, f.Delete(t.Context(), ids[2]))
	require.ErrorIs(t, second(f.CreateBulk(t.Context(), "batch", renamed(all))), task.ErrDeleted)
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
