package keyring_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/keyring"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience, glance = 20 * time.Second, 5 * time.Millisecond

// counted is the real Postgres, and counts the questions.
type counted struct {
	*postgres.DB
	asked atomic.Int64
}

func (c *counted) Keys(ctx context.Context, known uuid.UUID) (access.State, error) {
	c.asked.Add(1)
	return c.DB.Keys(ctx, known)
}

func open(t *testing.T, url string) *counted {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url, Work: 2}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return &counted{DB: db}
}

// create makes a key and returns its text.
func create(t *testing.T, db *counted, expiresIn time.Duration) (*access.Key, string) {
	t.Helper()
	text := access.NewText()
	digest, _ := access.DigestOf(text)
	k := access.Key{ID: uuid.New(), Name: "test", Hint: access.Hint(text), Scopes: access.Read}
	made, err := db.CreateKey(t.Context(), k, digest, expiresIn, nil)
	require.NoError(t, err)
	return made, text
}

func newRing(db *counted) *keyring.Ring { return keyring.New(db, slog.New(slog.DiscardHandler)) }

// follow runs a ring until the test or stop ends it.
func follow(t *testing.T, r *keyring.Ring) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func TestKeysComeAndGo(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	r := newRing(db)
	follow(t, r)
	k, text := create(t, db, 0)
	found, err := r.Find(t.Context(), text)
	require.NoError(t, err, "whoever asks after the answer to the create finds it")
	require.Equal(t, k, found)
	_, brief := create(t, db, time.Second)
	_, err = r.Find(t.Context(), brief)
	require.NoError(t, err)
	expired := func() bool { _, err := r.Find(t.Context(), brief); return err != nil }
	require.Eventually(t, expired, patience, glance)
	_, err = r.Find(t.Context(), brief)
	require.ErrorIs(t, err, access.ErrNoSuchKey)

	require.NoError(t, db.RevokeKey(t.Context(), k.ID))
	require.NoError(t, db.RevokeKey(t.Context(), k.ID), "again is no harm")
	require.NoError(t, r.Refresh(t.Context()))
	_, err = r.Find(t.Context(), text)
	require.ErrorIs(t, err, access.ErrNoSuchKey)
	for _, bad := range []string{"", "tw_", text + "x", access.NewText()} {
		_, err = r.Find(t.Context(), bad)
		require.ErrorIs(t, err, access.ErrNoSuchKey)
	}
}

// A ring that nobody tells anything, and that does not follow, asks for itself once what it knows
// is a second old.
func TestWhatIsOldIsAskedForAgain(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	r := newRing(db)
	k, text := create(t, db, 0)
	_, err := r.Find(t.Context(), text)
	require.NoError(t, err)
	require.NoError(t, db.RevokeKey(t.Context(), k.ID))
	refused := func() bool { _, err := r.Find(t.Context(), text); return err != nil }
	require.Eventually(t, refused, patience, glance)
	_, err = r.Find(t.Context(), text)
	require.ErrorIs(t, err, access.ErrNoSuchKey)
}

// Texts that clients make up are no way to load Postgres.
func TestUnknownKeysAskSeldom(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	r := newRing(db)
	start := time.Now()
	var clients sync.WaitGroup
	for range 200 {
		clients.Go(func() {
			for range 5 {
				if _, err := r.Find(t.Context(), access.NewText()); err == nil {
					t.Error("an unknown key was found")
				}
			}
		})
	}
	clients.Wait()
	require.LessOrEqual(t, db.asked.Load(), 2+int64(time.Since(start)/keyring.MissPace))
}

func TestWithPostgresAwayNoKeyIsGoodForLong(t *testing.T) {
	t.Parallel()
	server := testkit.OwnPostgres(t)
	db := open(t, server.URL())
	r := newRing(db)
	_, text := create(t, db, 0)
	_, err := r.Find(t.Context(), text)
	require.NoError(t, err)
	// One that does not answer is as good as away.
	resume, err := server.Pause()
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := r.Find(t.Context(), text); return err != nil }, patience, glance)
	_, err = r.Find(t.Context(), text)
	require.ErrorIs(t, err, task.ErrUnavailable)
	require.NoError(t, resume())
	require.Eventually(t, func() bool { _, err := r.Find(t.Context(), text); return err == nil }, patience, glance)
}

// The last use is one write in half a minute, over all nodes and requests.
func TestTheLastUseIsWrittenSeldom(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	db := open(t, url)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `
		CREATE TABLE writes (n int);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO writes VALUES (1); RETURN NULL; END';
		CREATE TRIGGER note AFTER UPDATE ON keys FOR EACH ROW EXECUTE FUNCTION note();
		CREATE TRIGGER note_version AFTER UPDATE ON keys_version FOR EACH ROW EXECUTE FUNCTION note()`)
	require.NoError(t, err)
	k, text := create(t, db, 0)
	_, err = conn.Exec(t.Context(), `TRUNCATE writes`)
	require.NoError(t, err)
	for range 2 {
		r := newRing(db)
		stop := follow(t, r)
		for i := range 10_000 {
			_, err := r.Find(t.Context(), text)
			require.NoError(t, err)
			if i%1000 == 0 {
				r.Tell(t.Context())
			}
		}
		stop() // which tells it once more
	}
	var writes int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM writes`).Scan(&writes))
	require.Equal(t, 1, writes)
	after, err := db.GetKey(t.Context(), k.ID)
	require.NoError(t, err)
	require.NotNil(t, after.LastUsedAt)
	_, err = conn.Exec(t.Context(), `UPDATE keys SET last_used_at = last_used_at - interval '31 s'`)
	require.NoError(t, err)
	require.NoError(t, db.NoteUse(t.Context(), []uuid.UUID{k.ID}))
	again, err := db.GetKey(t.Context(), k.ID)
	require.NoError(t, err)
	require.False(t, again.LastUsedAt.Before(*after.LastUsedAt))
}

func TestTheLastUseOfARevokedKeyIsNoted(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	r := newRing(db)
	k, text := create(t, db, 0)
	_, err := r.Find(t.Context(), text)
	require.NoError(t, err)
	require.NoError(t, db.RevokeKey(t.Context(), k.ID))
	require.NoError(t, r.Refresh(t.Context()))
	r.Tell(t.Context())
	k, err = db.GetKey(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, k.RevokedAt, k.LastUsedAt)
}
