package httpapi_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

const everything = access.Read | access.Create | access.Change | access.Lease | access.Admin

// keyed is a service that asks for keys.
func keyed(tb testing.TB, change ...func(*httpapi.Options)) (*service, *book) {
	tb.Helper()
	b := &book{}
	s := newService(tb, append([]func(*httpapi.Options){func(o *httpapi.Options) { o.Keys = b }}, change...)...)
	return s, b
}

func bearer(text string) []string { return []string{"Authorization", "Bearer " + text} }

// open are the routes that need no key.
var open = map[string]bool{"/livez": true, "/readyz": true, "/metrics": true, "/openapi.json": true}

func TestEveryRouteNamesItsScope(t *testing.T) {
	s, b := keyed(t)
	engine := s.Handler.(*gin.Engine)
	scopes := httpapi.Scopes()
	found := 0
	for _, r := range engine.Routes() {
		scope, declared := scopes[[2]string{r.Method, r.Path}]
		if open[r.Path] {
			require.Contains(t, []string{"GET", "HEAD"}, r.Method)
			require.False(t, declared)
			continue
		}
		require.True(t, declared, "%s %s is not declared by package routes", r.Method, r.Path)
		require.NotEqual(t, access.Open, scope, "%s %s is open", r.Method, r.Path)
		require.Len(t, scope.Names(), 1)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			require.NotEqual(t, access.Read, scope, "%s %s changes something", r.Method, r.Path)
		}
		found++
	}
	require.Len(t, scopes, found)

	// A route that goes round the declarations is refused to everybody.
	engine.GET("/aside", func(c *gin.Context) { c.String(200, "secret") })
	_, text := b.make(everything)
	for header, status := range map[string]int{"Bearer " + text: 403, "": 401} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/aside", http.NoBody)
		request.Header.Set("Authorization", header)
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, request)
		require.Equal(t, status, recorder.Code)
	}
}

// tripwire is what nobody may reach.
type tripwire struct {
	httpapi.Tasks
	httpapi.Reader
}

// No request without a good key that permits it reaches anything: a call to a nil interface panics,
// which is answered 500.
func TestNoRequestGetsThrough(t *testing.T) {
	b := &book{}
	s := newService(t, func(o *httpapi.Options) {
		o.Tasks, o.Reader, o.Types, o.Schedules = tripwire{}, tripwire{}, nil, nil
		o.Keys = &refuser{book: b}
	})
	random := rand.New(rand.NewPCG(1, 2))
	past := time.Now().Add(-time.Second)
	expired, expiredText := b.make(everything)
	expired.ExpiresAt = &past
	revoked, revokedText := b.make(everything)
	revoked.RevokedAt = &past
	_, good := b.make(everything)
	bad := [][]string{
		nil,
		{""},
		{"Bearer"},
		{"Bearer "},
		{"Bearer tw_"},
		{good},
		{"Basic " + good},
		{"Bearer  " + good},
		{"Bearer\t" + good},
		{"Bearer " + good + " "},
		{"Bearer " + good + "x"},
		{"Bearer " + strings.ToUpper(good)},
		{"Bearer " + good[:54]},
		{"Bearer " + access.NewText()},
		{"Bearer " + expiredText},
		{"Bearer " + revokedText},
		{"Bearer " + good, "Bearer " + good},
		{"Bearer " + access.NewText(), "Bearer " + good},
		{"Token " + good},
		{"tw_", "Bearer " + good},
	}
	spell := []func(string) string{
		func(p string) string { return p },
		func(p string) string { return p },
		func(p string) string { return "/" + p },
		func(p string) string { return p + "/" },
		func(p string) string { return strings.ToUpper(p[:2]) + p[2:] },
		func(p string) string { return p + "/../key" },
		func(p string) string { return "/livez/.." + p },
		func(p string) string { return "/livez/%2e%2e" + p },
		func(p string) string { return "/%" + hex(p[1]) + p[2:] },
		func(p string) string { return p + "%00" },
		func(p string) string { return p + "%2F" },
		func(p string) string { return p + ";/livez" },
		func(p string) string { return p + "?x=/livez" },
		func(p string) string { return "/." + p },
		func(p string) string { return p + "%20" },
		func(p string) string { return "/x" + strings.ReplaceAll(p, "/", "\\") },
		func(p string) string { return "/metrics" + p },
	}
	fill := strings.NewReplacer(":id", uuid.NewString(), ":name", "foo", "*key", "k")
	refused := map[int]int{}
	check := func(method, path string, headers []string, exact bool) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://api.test"+path, strings.NewReader(`{}`))
		require.NoError(t, err, path)
		request.Header.Set("Content-Type", "application/json")
		if len(headers) > 0 {
			request.Header["Authorization"] = headers
		}
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, request)
		allowed := []int{401, 403}
		if !exact {
			allowed = append(allowed, 404, 405)
		}
		require.Contains(t, allowed, recorder.Code, "%s %s %q: %s", method, path, headers, recorder.Body)
		require.Equal(t, recorder.Code == 401, recorder.Header().Get("WWW-Authenticate") != "")
		refused[recorder.Code]++
	}
	for r, scope := range httpapi.Scopes() {
		path := fill.Replace(r[1])
		_, small := b.make(everything &^ scope)
		for _, headers := range append(bad, []string{"Bearer " + small}) {
			check(r[0], path, headers, true)
		}
		for range 300 {
			headers := []string{"Bearer " + small}
			if i := random.IntN(len(bad) + 4); i < len(bad) {
				headers = bad[i]
			}
			check(r[0], spell[random.IntN(len(spell))](path), headers, false)
		}
	}
	require.Positive(t, refused[401])
	require.Positive(t, refused[403])
	require.Positive(t, refused[404])
	require.NotContains(t, s.log.String(), good)
	for _, outcome := range b.outcomes() {
		require.True(t, strings.HasSuffix(outcome, " 403"), outcome)
	}
	require.Len(t, b.events, refused[403])
}

func hex(c byte) string { return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }

// refuser finds keys and notes refusals, and no more.
type refuser struct {
	httpapi.Keys
	book *book
}

func (r *refuser) Find(ctx context.Context, text string) (*access.Key, error) {
	return r.book.Find(ctx, text)
}
func (r *refuser) Audit(ctx context.Context, e access.Event) error { return r.book.Audit(ctx, e) }

func TestAKeyPermitsWhatItsScopeSays(t *testing.T) {
	s, b := keyed(t)
	_, create := b.make(access.Create)
	_, read := b.make(access.Read)
	_, change := b.make(access.Change)
	a := s.do(t, "POST", "/task", good, bearer(create)...)
	require.Equal(t, 201, a.Code, a.Body.String())
	path := a.Header().Get("Location")
	requireProblem(t, s.do(t, "GET", path, "", bearer(create)...), 403, "forbidden")
	require.Equal(t, 200, s.do(t, "GET", path, "", "Authorization", "bEARER "+read).Code)
	requireProblem(t, s.do(t, "DELETE", path, "", bearer(read)...), 403, "forbidden")
	require.Equal(t, 200, s.do(t, "DELETE", path, "", bearer(change)...).Code)
	requireProblem(t, s.do(t, "DELETE", "/task/"+uuid.NewString(), "", bearer(change)...), 404, "not_found")
	require.Equal(t, []string{"GET /task/:id 403", "DELETE /task/:id 403", "DELETE /task/:id 200", "DELETE /task/:id 404"}, b.outcomes())
	require.Equal(t, strings.TrimPrefix(path, "/task/"), b.events[2].Object)
	require.Equal(t, "test", b.events[2].KeyName)

	for _, path := range []string{"/livez", "/readyz", "/metrics", "/openapi.json"} {
		require.Equal(t, 200, s.do(t, "GET", path, "").Code, "Prometheus and balancers have no key")
	}
	b.fail = task.ErrUnavailable
	requireProblem(t, s.do(t, "GET", path, "", bearer(read)...), 503, "unavailable")
}

// A key that is bound to types sees no other one, and is not told of it.
func TestABoundKeySeesItsTypesOnly(t *testing.T) {
	s, b := keyed(t, func(o *httpapi.Options) { o.Types = httpapi.Declared{"bar", "billing.send", "billing_send", "foo"} })
	_, all := b.make(everything)
	_, mine := b.make(everything, "billing.")
	of := func(name string) string { return strings.Replace(good, "foo", name, 1) }
	foreign := s.do(t, "POST", "/task", of("billing_send"), append(bearer(all), "Idempotency-Key", "k")...).Header().Get("Location")
	own := s.do(t, "POST", "/task", of("billing.send"), bearer(mine)...)
	require.Equal(t, 201, own.Code, own.Body.String())
	none := "/task/" + uuid.NewString()

	for _, request := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"PATCH", `{"max_attempts":2}`}} {
		there := s.do(t, request[0], foreign, request[1], bearer(mine)...)
		absent := s.do(t, request[0], none, request[1], bearer(mine)...)
		requireProblem(t, there, 404, "not_found")
		there.body["request_id"] = absent.body["request_id"]
		require.Equal(t, absent.body, there.body)
	}
	require.Equal(t, "submitted", s.do(t, "GET", foreign, "", bearer(all)...).body["status"])

	for _, body := range []string{"/task " + of("X"), `/task/batch {"tasks":[` + of("billing.send") + `,` + of("X") + `]}`} {
		path, body, _ := strings.Cut(body, " ")
		there := s.do(t, "POST", path, strings.ReplaceAll(body, "X", "billing_send"), bearer(mine)...)
		absent := s.do(t, "POST", path, strings.ReplaceAll(body, "X", "billing_none"), bearer(mine)...)
		requireProblem(t, there, 422, "invalid")
		there.body["request_id"] = absent.body["request_id"]
		require.Equal(t, absent.body, there.body)
	}
	// The key of a foreign task is taken; that is all that is said.
	taken := s.do(t, "POST", "/task", of("billing.send"), append(bearer(mine), "Idempotency-Key", "k")...)
	requireProblem(t, taken, 409, "idempotency_key_reused")
	require.NotContains(t, taken.Body.String(), strings.TrimPrefix(foreign, "/task/"))

	requireProblem(t, s.do(t, "GET", "/task?type=billing_send", "", bearer(mine)...), 422, "invalid")
	require.Equal(t, 200, s.do(t, "GET", "/task", "", bearer(mine)...).Code)
	require.Equal(t, []string{"billing.send"}, s.asked[len(s.asked)-1].Types)
	requireProblem(t, s.do(t, "GET", "/type/billing_send", "", bearer(mine)...), 404, "no_such_type")
	requireProblem(t, s.do(t, "DELETE", "/type/foo", "", bearer(mine)...), 404, "no_such_type")
	requireProblem(t, s.do(t, "PUT", "/type/hr.x", `{"handler":"lease"}`, append(bearer(mine), "Content-Type", "application/json")...), 403, "bound_to_types")
}

func TestKeysOverHTTP(t *testing.T) {
	s, b := keyed(t)
	_, admin := b.make(access.Admin)
	a := s.do(t, "POST", "/key", `{"name":"ci","scopes":["create","read"],"types":["billing."],"expires_in":"90d"}`, bearer(admin)...)
	require.Equal(t, 201, a.Code, a.Body.String())
	text, id := a.body["key"].(string), a.body["id"].(string)
	require.Equal(t, "no-store", a.Header().Get("Cache-Control"))
	require.Equal(t, []any{"read", "create"}, a.body["scopes"])
	require.Equal(t, id, b.events[0].Object)
	require.Equal(t, 200, s.do(t, "GET", "/task", "", bearer(text)...).Code)

	list := s.do(t, "GET", "/key", "", bearer(admin)...)
	require.Equal(t, 200, list.Code)
	require.Len(t, list.body["keys"], 2)
	require.NotContains(t, list.Body.String(), text)
	for range 2 {
		require.Equal(t, 200, s.do(t, "DELETE", "/key/"+id, "", bearer(admin)...).Code)
	}
	requireProblem(t, s.do(t, "GET", "/task", "", bearer(text)...), 401, "unauthorized")
	requireProblem(t, s.do(t, "DELETE", "/key/"+uuid.NewString(), "", bearer(admin)...), 404, "no_such_key")

	for body, fields := range map[string][]string{
		`{}`:                             {"name", "scopes"},
		`{"name":"a","scopes":["root"]}`: {"scopes[0]", "scopes"},
		`{"name":"a","scopes":"read"}`:   {"scopes", "scopes"},
		`{"name":1,"scopes":["read",1]}`: {"scopes[1]", "scopes[1]", "name"},
		`{"name":"a","scopes":["read"],"types":["x*",""],"expires_in":"1y","secret":1}`: {"expires_in", "secret", "types[0]", "types[1]"},
	} {
		a := s.do(t, "POST", "/key", body, bearer(admin)...)
		requireProblem(t, a, 422, "invalid")
		require.ElementsMatch(t, fields, a.fields(), body)
	}

	page := s.do(t, "GET", "/audit?limit=2", "", bearer(admin)...)
	require.Equal(t, 200, page.Code, page.Body.String())
	require.Len(t, page.body["events"], 2)
	require.NotContains(t, page.Body.String(), text)
	next := s.do(t, "GET", "/audit?limit=500&cursor="+page.body["next_cursor"].(string), "", bearer(admin)...)
	require.Equal(t, 200, next.Code, next.Body.String())
	require.Nil(t, next.body["next_cursor"])
	require.Len(t, next.body["events"], len(b.events)-2)
	requireProblem(t, s.do(t, "GET", "/audit?cursor=x", "", bearer(admin)...), 400, "invalid_cursor")
	requireProblem(t, s.do(t, "GET", "/audit?limit=0&x=1", "", bearer(admin)...), 422, "invalid")
}

// A restricted key makes no stronger one.
func TestAKeyMakesNoStrongerKey(t *testing.T) {
	s, b := keyed(t)
	_, weak := b.make(everything &^ access.Admin)
	requireProblem(t, s.do(t, "POST", "/key", `{"name":"a","scopes":["read"]}`, bearer(weak)...), 403, "forbidden")
	foreign, _ := b.make(access.Read)
	own, _ := b.make(access.Read, "billing.eu.")
	_, bound := b.make(access.Admin|access.Read, "billing.")
	for _, body := range []string{
		`{"name":"a","scopes":["read"]}`,
		`{"name":"a","scopes":["read"],"types":null}`,
		`{"name":"a","scopes":["read"],"types":[]}`,
		`{"name":"a","scopes":["read"],"types":["hr."]}`,
		`{"name":"a","scopes":["read"],"types":["billing.","hr."]}`,
		`{"name":"a","scopes":["read"],"types":["hr.*"]}`,
		`{"name":"a","scopes":["read"],"types":["*"]}`,
		`{"name":"a","scopes":["read"],"types":["billing"]}`,
		`{"name":"a","scopes":["create"],"types":["billing."]}`,
		`{"name":"a","scopes":["read"],"types":["billing."],"types":["hr."]}`,
	} {
		requireProblem(t, s.do(t, "POST", "/key", body, bearer(bound)...), 403, "beyond_maker")
	}
	require.Equal(t, 201, s.do(t, "POST", "/key", `{"name":"a","scopes":["read"],"types":["billing.eu."]}`, bearer(bound)...).Code)
	list := s.do(t, "GET", "/key", "", bearer(bound)...)
	require.Len(t, list.body["keys"], 3, "itself, and two that it could have made")
	requireProblem(t, s.do(t, "DELETE", "/key/"+foreign.ID.String(), "", bearer(bound)...), 404, "no_such_key")
	require.Equal(t, 200, s.do(t, "DELETE", "/key/"+own.ID.String(), "", bearer(bound)...).Code)
	requireProblem(t, s.do(t, "GET", "/audit", "", bearer(bound)...), 403, "bound_to_types")
}

func TestWithoutKeysNobodyMakesOne(t *testing.T) {
	s := newService(t)
	for _, request := range [][2]string{{"GET", "/key"}, {"POST", "/key"}, {"DELETE", "/key/" + uuid.NewString()}, {"GET", "/audit"}} {
		requireProblem(t, s.do(t, request[0], request[1], `{"name":"a","scopes":["admin"]}`, bearer(access.NewText())...), 403, "auth_off")
	}
	require.Equal(t, 201, s.do(t, "POST", "/task", good, bearer("anything")...).Code)
}

// The text of a key is in no line of the log, at any level.
func TestNoLogHasAKey(t *testing.T) {
	b := &book{}
	var log strings.Builder
	s, _ := keyed(t, func(o *httpapi.Options) {
		o.Keys, o.Log = b, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, text := b.make(everything)
	s.fail = func(context.Context) error { return context.DeadlineExceeded } // 500, which is logged
	for _, authorization := range []string{"Bearer " + text, text, "Basic " + text, "Bearer " + text + "x"} {
		for _, path := range []string{"/task", "/task/" + uuid.NewString(), "/key", "/none"} {
			a := s.do(t, "GET", path, "", "Authorization", authorization)
			require.NotContains(t, a.Body.String(), text)
		}
	}
	made := s.do(t, "POST", "/key", `{"name":"a","scopes":["read"]}`, bearer(text)...)
	require.Equal(t, 201, made.Code)
	require.NotEmpty(t, log.String())
	require.NotContains(t, log.String(), text)
	require.NotContains(t, log.String(), made.body["key"])
}
