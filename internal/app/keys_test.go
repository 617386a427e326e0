package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/test/testkit"
)

// apiNode is an API that runs until the test ends.
type apiNode struct {
	url    string
	log    *lockedBuffer
	client *http.Client
}

type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

func runAPI(tb testing.TB, database, redis, auth string) *apiNode {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	addr := listener.Addr().String()
	require.NoError(tb, listener.Close())
	n := &apiNode{
		url: "http://" + addr, log: &lockedBuffer{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	cfg := config.API{ListenAddr: addr, Auth: auth, MaxInFlight: 2048, Shared: config.Shared{
		Database: config.Database{DatabaseURL: database}, RedisURL: redis, RedisPrefix: "timewheel", WheelShards: 1,
		WheelHorizon: time.Hour, BarURL: "https://example.com/", TaskTimeout: time.Minute,
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.RunAPI(ctx, cfg, n.log) }()
	tb.Cleanup(func() {
		n.client.CloseIdleConnections()
		cancel()
		require.NoError(tb, <-ended)
	})
	require.Eventually(tb, func() bool {
		status, _ := n.try(http.MethodGet, "/livez", "", "")
		return status == 200
	}, patience, glance)
	return n
}

// try sends one request; the status is 0 if there is no answer.
func (n *apiNode) try(method, path, key, body string) (status int, answer map[string]any) {
	request, err := http.NewRequestWithContext(context.Background(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := n.client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	_ = json.Unmarshal(text, &answer)
	return response.StatusCode, answer
}

func (n *apiNode) do(tb testing.TB, want int, method, path, key, body string) map[string]any {
	tb.Helper()
	status, answer := n.try(method, path, key, body)
	require.Equal(tb, want, status, "%s %s: %v", method, path, answer)
	return answer
}

// command runs a command of KeyCommand, and returns what it prints.
func command(tb testing.TB, database string, args ...string) string {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, app.DoKeys(tb.Context(), config.Database{DatabaseURL: database}, args, &out))
	return strings.TrimSpace(out.String())
}

const someTask = `{"task_type":"foo","execution_time":"2090-01-01T00:00:00Z"}`

// After the 200 to the revocation no node accepts the key, though nobody tells the others of it.
func TestARevokedKeyIsAcceptedByNoNode(t *testing.T) {
	t.Parallel()
	database, redis := testkit.Postgres(t), testkit.Redis(t)
	admin := command(t, database, "create", "--name", "root", "--scopes", "admin")
	nodes := []*apiNode{runAPI(t, database, redis, "keys"), runAPI(t, database, redis, "keys")}
	require.NotContains(t, nodes[0].log.String(), "no key has the scope admin")
	made := nodes[0].do(t, 201, http.MethodPost, "/key", admin, `{"name":"ci","scopes":["create"]}`)
	key := made["key"].(string)

	// The load of other nodes: each request says whether it began after the revocation was answered.
	var answered, stop atomic.Bool
	var accepted, refused, late atomic.Int64
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			for !stop.Load() {
				after := answered.Load()
				status, _ := nodes[i%2].try(http.MethodPost, "/task", key, someTask)
				switch {
				case status == 201 && after:
					late.Add(1)
				case status == 201:
					accepted.Add(1)
				case status == 401:
					refused.Add(1)
				default:
					t.Errorf("status %d", status)
					return
				}
			}
		})
	}
	require.Eventually(t, func() bool { return accepted.Load() > 100 }, patience, glance)
	nodes[0].do(t, 200, http.MethodDelete, "/key/"+made["id"].(string), admin, "")
	answered.Store(true)
	before := refused.Load()
	require.Eventually(t, func() bool { return refused.Load() > before+100 }, patience, glance)
	stop.Store(true)
	load.Wait()
	require.Zero(t, late.Load(), "requests that began after the 200")
	for _, n := range nodes {
		require.NotContains(t, n.log.String(), key)
		require.NotContains(t, n.log.String(), admin)
	}
}

// A key that was revoked by hand in Postgres is refused as soon, and one whose node cannot ask
// Postgres is not accepted.
func TestWithoutPostgresNoKeyIsAccepted(t *testing.T) {
	t.Parallel()
	server := testkit.OwnPostgres(t)
	n := runAPI(t, server.URL(), testkit.Redis(t), "keys")
	require.Contains(t, n.log.String(), "no key has the scope admin")
	key := command(t, server.URL(), "create", "--name", "ci", "--scopes", "read,create")
	n.do(t, 200, http.MethodGet, "/task", key, "") // it was made a moment ago

	// A node that holds a key for good though nobody confirms it would answer that there is no such task, or hang.
	require.NoError(t, server.Stop())
	require.Eventually(t, func() bool {
		status, answer := n.try(http.MethodPost, "/key", key, "{}") // which needs no store to be refused
		return status == 503 && answer["code"] == "unavailable"
	}, patience, glance)
	n.do(t, 200, http.MethodGet, "/livez", "", "")
	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool { status, _ := n.try(http.MethodGet, "/task", key, ""); return status == 200 }, patience, glance)

	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `UPDATE keys SET revoked_at = clock_timestamp()`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { status, _ := n.try(http.MethodGet, "/task", key, ""); return status == 401 }, patience, glance)
}

// What a key may not see is not there, on real stores.
func TestAKeyThatIsBoundToTypes(t *testing.T) {
	t.Parallel()
	database, redis := testkit.Postgres(t), testkit.Redis(t)
	admin := command(t, database, "create", "--name", "root", "--scopes", "admin,read,create,change")
	mine := command(t, database, "create", "--name", "billing", "--scopes", "admin,read,create,change", "--types", "billing.")
	n := runAPI(t, database, redis, "keys")
	for _, name := range []string{"billing.send", "billing.gone", "billing_send", "hr"} {
		n.do(t, 201, http.MethodPut, "/type/"+name, admin, `{"handler":"lease"}`)
	}
	of := func(name string) string {
		return `{"labels":{"a":"b"},` + strings.Replace(someTask, "foo", name, 1)[1:]
	}
	ids := map[string]string{}
	for _, name := range []string{"hr", "billing.send", "billing_send", "billing.gone", "foo"} {
		ids[name] = n.do(t, 201, http.MethodPost, "/task", admin, of(name))["task_id"].(string)
	}
	list := func(key, query string) (names []string) {
		for _, one := range n.do(t, 200, http.MethodGet, "/task"+query, key, "")["tasks"].([]any) {
			names = append(names, one.(map[string]any)["task_type"].(string))
		}
		return names
	}
	require.Equal(t, []string{"foo", "billing.gone", "billing_send", "billing.send", "hr"}, list(admin, ""))
	require.Equal(t, []string{"billing.gone", "billing.send"}, list(mine, ""))
	require.Equal(t, []string{"billing.gone", "billing.send"}, list(mine, "?status=submitted"))
	require.Equal(t, []string{"billing.send"}, list(mine, "?type=billing.send"))
	require.Empty(t, list(mine, "?status=started_executing"))
	for _, query := range []string{
		"?status=submitted&order=due", "?due_after=2089-01-01T00:00:00Z", "?status=submitted&created_after=2020-01-01T00:00:00Z",
		"?created_after=2020-01-01T00:00:00Z", "?label=a:b", "?label=a:b&status=submitted", "?label=a:b&status=submitted&order=due",
	} {
		require.ElementsMatch(t, []string{"billing.gone", "billing.send"}, list(mine, query), query)
		require.Len(t, list(admin, query), 5)
	}
	require.Empty(t, list(mine, "?status=done&due_after=2089-01-01T00:00:00Z"))
	counts := n.do(t, 200, http.MethodGet, "/stats", mine, "")
	require.Len(t, counts["types"], 2)
	require.NotContains(t, counts, "overdue")
	require.NotContains(t, counts, "due")
	require.Contains(t, n.do(t, 200, http.MethodGet, "/stats", admin, ""), "due")
	first := n.do(t, 200, http.MethodGet, "/task?limit=1", mine, "")
	require.Equal(t, []string{"billing.send"}, list(mine, "?limit=1&cursor="+first["next_cursor"].(string)))
	n.do(t, 404, http.MethodDelete, "/task/"+ids["hr"], mine, "")
	n.do(t, 200, http.MethodDelete, "/task/"+ids["billing.send"], mine, "")
	require.Equal(t, []string{"billing.send"}, list(mine, "?status=deleted"))

	types := func(key string) (names []string) {
		for _, one := range n.do(t, 200, http.MethodGet, "/type", key, "")["types"].([]any) {
			names = append(names, one.(map[string]any)["name"].(string))
		}
		return names
	}
	require.Equal(t, []string{"billing.gone", "billing.send"}, types(mine))
	n.do(t, 201, http.MethodPut, "/type/billing.new", mine, `{"handler":"lease"}`)
	n.do(t, 403, http.MethodPut, "/type/billing_new", mine, `{"handler":"lease"}`)

	schedule := func(name string) string { return `{"every":"1h","task":{"task_type":"` + name + `"}}` }
	n.do(t, 201, http.MethodPut, "/schedule/theirs", admin, schedule("hr"))
	n.do(t, 201, http.MethodPut, "/schedule/ours", mine, schedule("billing.send"))
	n.do(t, 404, http.MethodGet, "/schedule/theirs", mine, "")
	n.do(t, 404, http.MethodGet, "/schedule/theirs/next", mine, "")
	n.do(t, 404, http.MethodDelete, "/schedule/theirs", mine, "")
	taken := n.do(t, 409, http.MethodPut, "/schedule/theirs", mine, schedule("billing.send"))
	require.Equal(t, "name_taken", taken["code"])
	n.do(t, 422, http.MethodPut, "/schedule/ours", mine, schedule("hr"))
	require.Len(t, n.do(t, 200, http.MethodGet, "/schedule", mine, "")["schedules"], 1)
	require.Equal(t, "hr", n.do(t, 200, http.MethodGet, "/schedule/theirs", admin, "")["task"].(map[string]any)["task_type"])
	n.do(t, 200, http.MethodDelete, "/schedule/ours", mine, "")

	// The audit has who did what, and how it ended.
	events := n.do(t, 200, http.MethodGet, "/audit?limit=500", admin, "")["events"].([]any)
	found := map[string]int{}
	for _, one := range events {
		e := one.(map[string]any)
		require.NotNil(t, e["status"])
		found[e["key_name"].(string)+" "+e["method"].(string)+" "+e["object"].(string)]++
	}
	require.Equal(t, 1, found["billing DELETE "+ids["billing.send"]])
	require.Equal(t, 1, found["billing DELETE "+ids["hr"]], "it was answered 404")
	require.Equal(t, 1, found["billing PUT theirs"])
	require.Equal(t, 1, found["root PUT hr"])
	require.Zero(t, found["root POST "], "creates are not there")
}

func TestKeyCommands(t *testing.T) {
	t.Parallel()
	database := testkit.Postgres(t)
	text := command(t, database, "create", "--name", "ci", "--scopes", "create,read", "--types", "billing.,hr", "--expires-in", "90d")
	require.Regexp(t, `^tw_[a-z2-7]{52}$`, text)
	list := command(t, database, "list")
	require.Contains(t, list, text[:8])
	require.Contains(t, list, "read,create  billing.,hr")
	require.NotContains(t, list, text)
	id := strings.Fields(strings.Split(list, "\n")[1])[0]
	require.Empty(t, command(t, database, "revoke", id))
	require.NotContains(t, command(t, database, "list"), "  -        -\n")
	for _, args := range [][]string{
		{},
		{"make"},
		{"create"},
		{"create", "--name", "a"},
		{"create", "--name", "a", "--scopes", "root"},
		{"create", "--name", "a", "--scopes", "read", "more"},
		{"create", "--name", "a", "--scopes", "read", "--types", "x*"},
		{"create", "--name", "a", "--scopes", "read", "--expires-in", "1y"},
		{"list", "x"},
		{"revoke"},
		{"revoke", text},
		{"revoke", uuid.NewString()},
	} {
		err := app.DoKeys(t.Context(), config.Database{DatabaseURL: database}, args, io.Discard)
		require.Error(t, err, args)
		require.NotContains(t, err.Error(), text)
	}
}

// BenchmarkKeys compares what POST /task takes with and without keys, from the client to the commit.
// The two take turns and change places in each round, so that what else the machine does strikes
// both; the median of the rounds' ratios counts.
func BenchmarkKeys(b *testing.B) {
	database, redis := testkit.Postgres(b), testkit.Redis(b)
	key := command(b, database, "create", "--name", "bench", "--scopes", "create", "--types", "foo")
	nodes := []*apiNode{runAPI(b, database, redis, "off"), runAPI(b, database, redis, "keys")}
	const clients, turn = 16, 10
	var took [2][]float64
	var ratios []float64
	round := func(n *apiNode) float64 {
		start := time.Now()
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				for range turn {
					if status, _ := n.try(http.MethodPost, "/task", key, someTask); status != 201 {
						b.Error("status", status)
					}
				}
			})
		}
		running.Wait()
		return float64(time.Since(start).Microseconds()) / (clients * turn)
	}
	for i := 0; b.Loop(); i++ {
		var pair [2]float64
		for j := range pair {
			at := (i + j) % 2
			pair[at] = round(nodes[at])
			took[at] = append(took[at], pair[at])
		}
		ratios = append(ratios, pair[1]/pair[0])
	}
	median := func(values []float64) float64 { slices.Sort(values); return values[len(values)/2] }
	b.ReportMetric(median(took[0]), "off-µs/request")
	b.ReportMetric(median(took[1]), "keys-µs/request")
	b.ReportMetric(median(ratios), "ratio")
}

func contains(log *lockedBuffer, text string) bool { return strings.Contains(log.String(), text) }
