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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	dueKey     = "timewheel:{0}:due"
	claimedKey = "timewheel:{0}:claimed"
	watchKey   = "timewheel:{0}:watch"
	wakeKey    = "timewheel:{0}:wake"
	epochKey   = "timewheel:epoch"
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

func open(t *testing.T, shards int) *fixture {
	t.Helper()
	return openAt(t, testkit.Redis(t), shards)
}

func openAt(t *testing.T, url string, shards int) *fixture {
	t.Helper()
	return &fixture{openWheel(t, url, shards), openClient(t, url), url}
}

func openWheel(t *testing.T, url string, shards int) *wheel.Wheel {
	t.Helper()
	w, err := wheel.Open(wheel.Options{URL: url, Shards: shards})
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
		tasks[i] = task.Due{ID: uuid.New(), At: at.Add(time.Duration(i) * time.Microsecond)}
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

// claim takes what is due of shard 0.
func (f *fixture) claim(t *testing.T, limit int, lapse time.Duration) []task.ID {
	t.Helper()
	ids, _, err := f.Claim(t.Context(), 0, limit, lapse)
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

// claimer is the worker in whose name tests claim.
var claimer = uuid.MustParse("00000000-0000-4000-8000-000000000001")

// Claim claims in its name.
func (f *fixture) Claim(ctx context.Context, shard, limit int, lapse time.Duration) ([]task.ID, time.Duration, error) {
	ids, next, _, err := f.Wheel.Claim(ctx, shard, claimer, 0, limit, lapse)
	return ids, next, err
}
