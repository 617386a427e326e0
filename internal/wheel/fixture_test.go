package wheel_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) {
	// A pool whose server died looks for it once per second, and ends with its client.
	dial := goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
	goleak.VerifyTestMain(m, dial)
}

const (
	// patience bounds the wait for a condition that always comes.
	patience = 20 * time.Second
	// glance is the pace at which a condition is looked at.
	glance = 2 * time.Millisecond
	// never is a lapse or a term that no test lives to see.
	never = time.Hour
)

// The names that people and dashboards rely on, spelled out.
const (
	dueKey     = "timewheel:{foo}:due"
	claimedKey = "timewheel:{foo}:claimed"
	agendaKey  = "timewheel:{wheel}:agenda"
	marksKey   = "timewheel:{wheel}:marks"
	watchKey   = "timewheel:{wheel}:watch"
	epochKey   = "timewheel:{wheel}:epoch"
	wakeKey    = "timewheel:{wheel}:wake"
)

// tester is a test, or one case of a property.
type tester interface {
	require.TestingT
	Context() context.Context
}

// fixture is a wheel and a second way into its Redis, by hand.
type fixture struct {
	*wheel.Wheel
	redis *redis.Client
	url   string
}

func open(t *testing.T) *fixture {
	t.Helper()
	return openAt(t, testkit.Redis(t))
}

func openAt(t *testing.T, url string) *fixture {
	t.Helper()
	return &fixture{openWheel(t, url), openClient(t, url), url}
}

func openWheel(t *testing.T, url string) *wheel.Wheel {
	t.Helper()
	w, err := wheel.Open(wheel.Options{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

func openClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// now is Redis' clock, the only one that counts here.
func (f *fixture) now(t tester) time.Time {
	now, err := f.redis.Time(t.Context()).Result()
	require.NoError(t, err)
	return now
}

// index makes n tasks due, one microsecond after the other from at on, and
// returns their ids in that order.
func (f *fixture) index(t *testing.T, n int, at time.Time) []task.ID {
	t.Helper()
	tasks := dueFrom(n, at)
	require.NoError(t, f.Index(t.Context(), tasks))
	return idsOf(tasks)
}

func dueFrom(n int, at time.Time) []task.Due {
	tasks := make([]task.Due, n)
	for i := range tasks {
		tasks[i] = task.Due{Type: "foo", ID: uuid.New(), At: at.Add(time.Duration(i) * time.Microsecond)}
	}
	return tasks
}

func idsOf(tasks []task.Due) []task.ID {
	ids := make([]task.ID, len(tasks))
	for i, t := range tasks {
		ids[i] = t.ID
	}
	return ids
}

// claim takes what is due.
func (f *fixture) claim(t *testing.T, limit int, lapse time.Duration) []task.ID {
	t.Helper()
	ids, _, err := f.Claim(t.Context(), limit, lapse)
	require.NoError(t, err)
	return ids
}

// members is what a sorted set holds, by score and then by name.
func (f *fixture) members(t tester, key string) []string {
	members, err := f.redis.ZRange(t.Context(), key, 0, -1).Result()
	require.NoError(t, err)
	return members
}

func (f *fixture) score(t tester, key, member string) int64 {
	score, err := f.redis.ZScore(t.Context(), key, member).Result()
	require.NoError(t, err, "%s of %s", member, key)
	require.Equal(t, score, float64(int64(score)), "a score is a whole number of microseconds") //nolint:testifylint // Exactly.
	return int64(score)
}

func (f *fixture) put(t *testing.T, key, member string, at time.Time) {
	t.Helper()
	require.NoError(t, f.redis.ZAdd(t.Context(), key, redis.Z{Score: float64(at.UnixMicro()), Member: member}).Err())
}

func texts(ids []task.ID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = id.String()
	}
	return all
}

// Claim claims of the type foo alone.
func (f *fixture) Claim(ctx context.Context, limit int, lapse time.Duration) ([]task.ID, time.Duration, error) {
	claimed := f.Wheel.Claim(ctx, []task.Want{{Type: "foo", Limit: limit}}, lapse)
	return claimed[0].IDs, claimed[0].Wait, claimed[0].Err
}

// revive makes lapsed claims due again, which each claim does first, and returns how many.
func (f *fixture) revive(t tester) int {
	f.Revived()
	_, _, err := f.Claim(t.Context(), 0, never)
	require.NoError(t, err)
	return f.Revived()
}

// Release releases tasks of the type foo.
func (f *fixture) Release(ctx context.Context, dropped []task.ID, back []task.DueIn) error {
	return f.Wheel.Release(ctx, refs(dropped), back)
}

// Remove removes tasks of the type foo.
func (f *fixture) Remove(ctx context.Context, ids []task.ID) error {
	return f.Wheel.Remove(ctx, refs(ids))
}

func refs(ids []task.ID) []task.Ref {
	all := make([]task.Ref, len(ids))
	for i, id := range ids {
		all[i] = task.Ref{ID: id, Type: "foo"}
	}
	return all
}
