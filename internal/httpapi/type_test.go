package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// A type is read with all of its members, and is shown as it can be put again, but for
// its secrets.
func TestATypeIsReadAndShown(t *testing.T) {
	t.Parallel()
	const given = `{"handler": "webhook",
		"webhook": {"url": "https://billing.example/hooks", "headers": {"X-Env": "prod"}, "secret": "` + secret + `"},
		"timeout": "30s", "max_attempts": 3, "retry": {"delay": "1s", "factor": 2, "max_delay": "1h", "jitter": 0.2},
		"expires_in": null, "max_running": 200, "rate": {"per_second": 0.5, "burst": 200}, "paused": true,
		"payload_schema": {"type": "object", "required": ["invoice"]}}`
	read, err := httpapi.DecodeType("billing.send", []byte(given))
	require.NoError(t, err)
	half, two, key, timeout := 0.5, 200, task.Secret(secret), 30*time.Second
	require.Equal(t, task.Type{
		Name: "billing.send", Handler: task.WebhookHandler, MaxAttempts: 3, Timeout: &timeout, Paused: true,
		Webhook: &task.Webhook{URL: "https://billing.example/hooks", Headers: map[string]string{"X-Env": "prod"}, Secret: &key},
		Retry:   &task.Retry{Delay: time.Second, Factor: 2, MaxDelay: time.Hour, Jitter: 0.2},
		Rate:    &task.Rate{PerSecond: half, Burst: two}, MaxRunning: &two,
		PayloadSchema: json.RawMessage(`{"type": "object", "required": ["invoice"]}`),
	}, read)
	shown, err := json.Marshal(httpapi.ShowType(read))
	require.NoError(t, err)
	require.NotContains(t, string(shown), "MDEy")
	again, err := httpapi.DecodeType("billing.send", shown)
	require.NoError(t, err, string(shown))
	read.Webhook.Secret = nil
	again.PayloadSchema = read.PayloadSchema
	require.Equal(t, read, again)

	least, err := httpapi.DecodeType("foo", []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, task.Type{Name: "foo", Handler: task.Builtin, MaxAttempts: 1}, least)
	shown, err = json.Marshal(httpapi.ShowType(least))
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"foo","handler":"builtin","webhook":null,"timeout":null,"max_attempts":1,"retry":null,
		"expires_in":null,"max_running":null,"rate":null,"paused":false,"payload_schema":null}`, string(shown))
}

func TestFaultsOfAType(t *testing.T) {
	t.Parallel()
	hook := func(members string) string {
		return `{"handler":"webhook","webhook":{"url":"https://a.b/",` + members + `}}`
	}
	long := strings.Repeat("x", 70_000)
	for body, fields := range map[string][]string{
		`{}`:                    {"handler"},
		`{"handler":"builtin"}`: {"handler"},
		`{"handler":"other"}`:   {"handler"},
		`{"handler":"webhook"}`: {"webhook"},
		`{"handler":"lease","webhook":{"url":"https://a.b/"}}`:         {"webhook"},
		`{"handler":"webhook","webhook":{}}`:                           {"webhook.url"},
		`{"handler":"webhook","webhook":[]}`:                           {"webhook"},
		`{"handler":"lease","colour":1,"expires_in":"0s"}`:             {"colour", "expires_in"},
		`{"handler":"lease","timeout":"0s"}`:                           {"timeout"},
		`{"handler":"lease","timeout":"24h1ms"}`:                       {"timeout"},
		`{"handler":"lease","timeout":30}`:                             {"timeout"},
		`{"handler":"lease","max_attempts":0}`:                         {"max_attempts"},
		`{"handler":"lease","max_attempts":101}`:                       {"max_attempts"},
		`{"handler":"lease","max_attempts":1.5}`:                       {"max_attempts"},
		`{"handler":"lease","max_running":0}`:                          {"max_running"},
		`{"handler":"lease","max_running":"3"}`:                        {"max_running"},
		`{"handler":"lease","max_running":99999999999999999999}`:       {"max_running"},
		`{"handler":"lease","rate":{}}`:                                {"rate.per_second"},
		`{"handler":"lease","rate":5}`:                                 {"rate"},
		`{"handler":"lease","rate":{"per_second":-1,"burst":0,"x":1}}`: {"rate.per_second", "rate.burst", "rate.x"},
		`{"handler":"lease","rate":{"per_second":1e400}}`:              {"rate.per_second"},
		`{"handler":"lease","retry":{"delay":"0s","factor":0.5,"max_delay":"999999h","jitter":2}}`: {
			"retry.delay", "retry.factor", "retry.max_delay", "retry.jitter",
		},
		`{"handler":"lease","paused":"yes"}`:                        {"paused"},
		`{"handler":"lease","payload_schema":[]}`:                   {"payload_schema"},
		`{"handler":"lease","payload_schema":{"a":"` + long + `"}}`: {"payload_schema"},
		`{"handler":"lease","name":"other"}`:                        {"name"},
		hook(`"secret":"whsec_short"`):                              {"webhook.secret"},
		hook(`"secret":"whsec_MTIz"`):                               {"webhook.secret"},
		hook(`"previous_secret":7`):                                 {"webhook.previous_secret"},
		hook(`"headers":[]`):                                        {"webhook.headers"},
		hook(`"headers":{"Webhook-Signature":"x","webhook-id":"x","X-Task-Attempt":"1","traceparent":"x","Host":"x","content-length":"1","a\r\nB":"c","a b":"c","C":"\r\n"}`): {
			"webhook.headers.Webhook-Signature", "webhook.headers.webhook-id", "webhook.headers.X-Task-Attempt",
			"webhook.headers.traceparent", "webhook.headers.Host", "webhook.headers.content-length",
			"webhook.headers.a\r\nB", "webhook.headers.a b", "webhook.headers.C",
		},
	} {
		_, err := httpapi.DecodeType("mine", []byte(body))
		require.Error(t, err, body)
		require.Equal(t, fields, httpapi.FieldsOf(err), body)
	}
	for _, name := range []string{"", "A", "a/b", "a{b}", "}", "ä", "-a", "a b", strings.Repeat("a", 65)} {
		_, err := httpapi.DecodeType(name, []byte(`{"handler":"lease"}`))
		require.Equal(t, []string{"name"}, httpapi.FieldsOf(err), name)
	}
	for _, name := range []string{"due", "claimed", "epoch", "type", "wheel", "a.b", "a-b", "a_b", strings.Repeat("a", 64)} {
		_, err := httpapi.DecodeType(name, []byte(`{"handler":"lease"}`))
		require.NoError(t, err, name)
	}
	_, err := httpapi.DecodeType("foo", []byte(`{"handler":"lease"}`))
	require.Equal(t, []string{"handler"}, httpapi.FieldsOf(err), "it ships")
}

func FuzzDecodeType(f *testing.F) {
	f.Add("a", []byte(`{"handler":"webhook","webhook":{"url":"https://a.b/","headers":{"A":"b"}},"retry":{"delay":"1s"},"rate":{"per_second":1}}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		read, err := httpapi.DecodeType(name, body)
		if err != nil {
			return
		}
		require.True(t, task.ValidTypeName(read.Name))
		shown, err := json.Marshal(httpapi.ShowType(read))
		require.NoError(t, err)
		_, err = httpapi.DecodeType(name, shown)
		require.NoError(t, err, string(shown))
	})
}
