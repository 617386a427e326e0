package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit"
)

// The statements of the release before, as its nodes send them.
const (
	insertBefore = `INSERT INTO tasks (id, task_type, execution_time, max_attempts, payload, idempotency_key, due_at)
		SELECT draft.id, draft.task_type, draft.execution_time, draft.max_attempts, draft.payload::json, draft.idempotency_key, draft.execution_time
		FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int[], $5::text[], $6::text[])
			AS draft (id, task_type, execution_time, max_attempts, payload, idempotency_key)`
	createBefore = `WITH inserted AS (` + insertBefore + `) SELECT $1::uuid[]::text[]`
	createKeyed  = `WITH inserted AS (` + insertBefore + ` ON CONFLICT DO NOTHING RETURNING id) SELECT coalesce(array_agg(id::text), '{}') FROM inserted`
	startBefore  = `
		WITH session AS MATERIALIZED (SELECT id FROM workers WHERE id = $1 AND dead_at IS NULL FOR KEY SHARE), started AS (
			UPDATE tasks t SET status = 'started_executing', worker_id = $1, attempt = attempt + 1, started_at = clock_timestamp()
			FROM session WHERE t.id = ANY($2) AND t.status = 'submitted' AND t.due_at <= clock_timestamp() RETURNING t.id
		), receipt AS (
			INSERT INTO starts (worker_id, seq, task_ids) SELECT id, $3, (SELECT coalesce(array_agg(id), '{}') FROM started) FROM session
		)
		SELECT coalesce(array_agg(id::text), '{}') FROM started`
	finishBefore = `
		WITH ended AS (
			UPDATE tasks t SET status = 'done', finished_at = clock_timestamp(), result = '{}'::json
			FROM unnest($2::uuid[], $3::int[]) AS ended (id, attempt)
			WHERE t.id = ended.id AND t.status = 'started_executing' AND t.worker_id = $1 AND t.attempt = ended.attempt RETURNING t.id
		)
		SELECT coalesce(array_agg(id::text), '{}') FROM ended`
	deleteBefore = `
		WITH gone AS (
			UPDATE tasks SET status = 'deleted', finished_at = clock_timestamp() WHERE id = $1 AND status = 'submitted' RETURNING id
		)
		SELECT coalesce(array_agg(id::text), '{}') FROM gone`
	windowBefore = `SELECT coalesce(array_agg(id::text), '{}') FROM (
		SELECT id FROM tasks WHERE outcome = 'open' AND status = $1 AND due_at <= clock_timestamp() + interval '1 hour' ORDER BY due_at, id LIMIT 40) page`
)

const seededTasks, seededOpen = 12_000, 8_000

// Of each three tasks the first is to run, the second runs, the third has ended, and every
// other one has a key.
func seedBefore(t *testing.T, conn *pgx.Conn, session uuid.UUID) {
	t.Helper()
	_, err := conn.Exec(t.Context(), `INSERT INTO workers (id, host, lease_until, protocol) VALUES ($1, 'h', now() + interval '1 hour', 2)`, session)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `
		INSERT INTO tasks (id, task_type, status, execution_time, due_at, attempt, worker_id, started_at, finished_at, idempotency_key)
		SELECT gen_random_uuid(), 'foo', (ARRAY['submitted', 'started_executing', (ARRAY['done', 'failed', 'deleted'])[1 + i / 3 % 3]])[1 + i % 3],
			at, at, (i % 3 = 1)::int, CASE WHEN i % 3 = 1 THEN $1::uuid END, CASE WHEN i % 3 = 1 THEN at END, CASE WHEN i % 3 = 2 THEN at END,
			CASE WHEN i % 2 = 0 THEN 'old-' || i END
		FROM (SELECT i, now() - interval '1 hour' + i * interval '1 ms' AS at FROM generate_series(0, $2 - 1) i) made`, session, seededTasks)
	require.NoError(t, err)
}

// nodes are those of the release before, and what they were told.
type nodes struct {
	url     string
	session uuid.UUID
	mu      sync.Mutex
	created map[string]bool
	started map[string]int
	deleted map[string]bool
}

// say sends a statement until it is not told to try again, as a node does.
func (n *nodes) say(ctx context.Context, conn *pgx.Conn, query string, args ...any) (ids []string, err error) {
	for {
		err = conn.QueryRow(ctx, query, args...).Scan(&ids)
		var refusal *pgconn.PgError
		if errors.As(err, &refusal) && (refusal.Code[:2] == "40" || refusal.Code[:2] == "55" || refusal.Code == pgerrcode.QueryCanceled) {
			continue
		}
		return ids, err
	}
}

func (n *nodes) create(ctx context.Context, conn *pgx.Conn, query, key string) error {
	id := uuid.Must(uuid.NewV7()).String()
	keys := []*string{nil}
	if key != "" {
		keys[0] = &key
	}
	made, err := n.say(ctx, conn, query, []string{id}, []string{"foo"}, []time.Time{time.Now()}, []int{1}, []*string{nil}, keys)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range made {
		n.created[id] = true
	}
	return nil
}

// run does what one node does, again and again until ctx ends.
func (n *nodes) run(ctx context.Context, number int) error {
	config, err := pgx.ParseConfig(n.url)
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams["application_name"] = "timewheel"
	alive := context.WithoutCancel(ctx) // a node ends no statement in the middle
	conn, err := pgx.ConnectConfig(alive, config)
	if err != nil {
		return err
	}
	defer conn.Close(alive)
	for i := 0; ctx.Err() == nil; i++ {
		own := fmt.Sprintf("new-%d-%d", number, i)
		old := "old-" + strconv.Itoa(2*rand.IntN(seededTasks/2))
		for _, c := range []struct{ query, key string }{{createBefore, ""}, {createKeyed, own}, {createKeyed, old}, {createKeyed, own}} {
			if err := n.create(alive, conn, c.query, c.key); err != nil {
				return fmt.Errorf("create with the key %q: %w", c.key, err)
			}
		}
		if err := n.work(alive, conn, int64(number)<<32+int64(i)); err != nil {
			return err
		}
	}
	return nil
}

// work starts, ends and deletes a few tasks.
func (n *nodes) work(ctx context.Context, conn *pgx.Conn, seq int64) error {
	waiting, err := n.say(ctx, conn, windowBefore, "submitted")
	if err != nil || len(waiting) == 0 {
		return err
	}
	last := waiting[len(waiting)-1]
	gone, err := n.say(ctx, conn, deleteBefore, last)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	started, err := n.say(ctx, conn, startBefore, n.session, waiting[:len(waiting)/4], seq)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	n.mu.Lock()
	for _, id := range gone {
		n.deleted[id] = true
	}
	for _, id := range started {
		n.started[id]++
	}
	n.mu.Unlock()
	ended, err := n.say(ctx, conn, finishBefore, n.session, started, ones(len(started)))
	if err == nil && len(ended) < len(started) {
		err = fmt.Errorf("%d of %d running tasks were not found by their end", len(started)-len(ended), len(started))
	}
	return err
}

func ones(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = 1
	}
	return all
}

func up(m *migrate.Migrate) error {
	if err := m.Up(); !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return nil
}

// While rows are moved, nodes of the release before go on, and the program that migrates is cut
// off twice.
func TestHistoryBeginsBesideTheReleaseBefore(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	to(t, url, 7)
	conn := connect(t, url)
	n := &nodes{url: url, session: uuid.New(), created: map[string]bool{}, started: map[string]int{}, deleted: map[string]bool{}}
	seedBefore(t, conn, n.session)
	exec(t, conn, `CREATE TABLE seeded AS SELECT * FROM tasks; CREATE INDEX ON seeded (id)`)

	running, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	failures := make(chan error, 3)
	for number := range 3 {
		all.Go(func() { failures <- n.run(running, number) })
	}
	for _, left := range []int{seededOpen * 4 / 5, seededOpen * 2 / 5} {
		ctx, cut := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- migrations.Run(ctx, url, quiet, up) }()
		require.Eventually(t, func() bool {
			return look(t, conn, "SELECT (max(version) >= 10)::text FROM schema_migrations") == "true" &&
				look(t, conn, fmt.Sprintf("SELECT (count(*) < %d)::text FROM tasks_before WHERE outcome = 'open'", left)) == "true"
		}, time.Minute, time.Millisecond)
		cut()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NotEqual(t, "0", look(t, conn, "SELECT count(*)::text FROM tasks_before WHERE outcome = 'open'"))
	}
	require.NoError(t, migrations.Run(t.Context(), url, quiet, up))
	stop()
	all.Wait()
	for range 3 {
		require.NoError(t, <-failures)
	}

	require.Equal(t, "1|t|t", look(t, conn, `SELECT concat_ws('|', (SELECT count(*) FROM history_parts WHERE lower = '-infinity'),
		to_regclass('tasks_before') IS NULL, EXISTS (SELECT FROM tasks_ended_before))`))
	n.check(t, conn)
	to(t, url, 7)
	require.Equal(t, "r", look(t, conn, `SELECT relkind::text FROM pg_class WHERE oid = 'tasks'::regclass`))
	n.check(t, conn)
	to(t, url, 11)
	n.check(t, conn)
}

func (n *nodes) check(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	require.NotEmpty(t, n.deleted)
	require.NotEmpty(t, n.started)
	none := func(what, query string, args ...any) {
		t.Helper()
		var count int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM ("+query+") found", args...).Scan(&count))
		require.Zero(t, count, what)
	}
	created, started, deleted := []string{}, []string{}, []string{}
	for id := range n.created {
		created = append(created, id)
	}
	for id, times := range n.started {
		require.Equal(t, 1, times, "starts of one task")
		started = append(started, id)
	}
	for id := range n.deleted {
		deleted = append(deleted, id)
	}
	none("in two places", `SELECT id FROM tasks GROUP BY id HAVING count(*) > 1`)
	none("two tasks of a key", `SELECT idempotency_key FROM tasks GROUP BY 1 HAVING count(*) > 1 AND idempotency_key IS NOT NULL`)
	none("seeded and lost", `SELECT id FROM seeded EXCEPT SELECT id FROM tasks`)
	none("created and lost", `SELECT unnest($1::text[]::uuid[]) EXCEPT SELECT id FROM tasks`, created)
	none("there and not created", `SELECT id FROM tasks EXCEPT SELECT id FROM seeded EXCEPT SELECT unnest($1::text[]::uuid[])`, created)
	none("started and not done once", `SELECT FROM tasks WHERE id = ANY($1::text[]::uuid[]) AND (status <> 'done' OR attempt <> 1)`, started)
	none("deleted and not so", `SELECT FROM tasks WHERE id = ANY($1::text[]::uuid[]) AND (status <> 'deleted' OR attempt <> 0)`, deleted)
	none("changed although it had ended", `SELECT FROM tasks t JOIN seeded s USING (id)
		WHERE s.outcome <> 'open' AND (t.status, t.finished_at, t.idempotency_key) IS DISTINCT FROM (s.status, s.finished_at, s.idempotency_key)`)
	none("a mark of the creates is left", `SELECT FROM tasks WHERE worker_id = '00000000-0000-0000-0000-000000000000'`)
}

func TestHistoryOfAnEmptyDatabaseHasNoOldPart(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	to(t, url, 7)
	require.NoError(t, migrations.Up(url))
	require.Equal(t, "0|t|t", look(t, connect(t, url), `SELECT concat_ws('|', (SELECT count(*) FROM history_parts),
		to_regclass('tasks_before') IS NULL, to_regclass('tasks_ended_before') IS NULL)`))
}
