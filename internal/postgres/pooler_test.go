package postgres_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// pgbouncer runs PgBouncer in a mode before the server of a database, and returns
// the URL through it.
func pgbouncer(t *testing.T, databaseURL, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("PGBOUNCER IS NOT INSTALLED: what connection poolers do is not tested")
	}
	server, err := url.Parse(databaseURL)
	require.NoError(t, err)
	secret := ""
	if password, given := server.User.Password(); given {
		secret = " password=" + password
	}
	there := *server
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	there.Host, err = listener.Addr().String(), listener.Close()
	require.NoError(t, err)
	settings := filepath.Join(t.TempDir(), "pgbouncer.ini")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, `[databases]
* = host=%s port=%s user=%s%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 4
`, server.Hostname(), server.Port(), server.User.Username(), secret, there.Port(), mode), 0o600))
	command := exec.CommandContext(t.Context(), program, settings)
	if os.Getuid() == 0 { // it refuses to run as root
		command = exec.CommandContext(t.Context(), program, "-u", "nobody", settings)
	}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), there.String())
		if err != nil {
			return false
		}
		require.NoError(t, conn.Close(t.Context()))
		return true
	}, patience, glance)
	return there.String()
}

// All that is done to a task, through a pooler in each mode, and with the settings
// that the plans need in force.
func TestPoolers(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			o := postgres.Options{URL: pgbouncer(t, f.url, mode), Work: 4, Reads: 2}
			if o.TransactionPooler = mode == "transaction"; o.TransactionPooler {
				unpinned := must(postgres.Open(t.Context(), o, f.slog()))(t)
				require.ErrorContains(t, unpinned.Check(t.Context(), latest(t), false), "POSTGRES_POOLER=transaction")
				unpinned.Close()
				conn, err := pgx.Connect(t.Context(), f.url)
				require.NoError(t, err)
				require.NoError(t, postgres.PinRole(t.Context(), conn))
				require.NoError(t, conn.Close(t.Context()))
				t.Cleanup(func() { f.unpinRole(t) })
				o.URL = pgbouncer(t, f.url, mode) // its connections to the server are new
			}
			db := must(postgres.Open(t.Context(), o, f.slog()))(t)
			t.Cleanup(db.Close)
			require.NoError(t, db.Check(t.Context(), latest(t), false))
			require.NoError(t, db.Ping(t.Context()))
			g := &fixture{DB: db, url: f.url, sql: f.sql, log: f.log}

			d := draft()
			d.Payload, d.Key, d.MaxAttempts = []byte(`{"n":1e2}`), "key", 2
			ids := g.create(t, append(drafts(50), d)...)
			require.Len(t, g.batch(t, "batch", drafts(20)), 20)
			require.Equal(t, ids[50:], g.create(t, renamed([]task.Draft{d})...), "the key is known")
			session := g.session(t)
			require.NoError(t, db.Renew(t.Context(), session, lease))
			started := g.start(t, session, ids...)
			require.Len(t, started, 51)
			require.Equal(t, task.Done, g.finish(t, session, ids[0], 1, "").Status)
			require.Equal(t, task.Submitted, g.finish(t, session, ids[50], 1, task.Panic).Status)
			g.lapse(t, session, time.Minute)
			require.Equal(t, 49, g.reap(t, db).Failed)
			require.NoError(t, errorOf(db.Delete(t.Context(), ids[50])))
			page, err := db.List(t.Context(), task.Filter{Status: task.Failed, Limit: 10})
			require.NoError(t, err)
			require.NotNil(t, page.Next)
			require.Len(t, page.Tasks, 10)
			require.JSONEq(t, `{"n":1e2}`, string(g.get(t, ids[50]).Payload))
			_, _, _, err = db.Window(t.Context(), task.Due{}, time.Now(), 10)
			require.NoError(t, err)
			g.forget(t, time.Hour)
		})
	}
}
