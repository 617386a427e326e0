package httpapi_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

// A time after which nothing may happen is rounded down.
func TestEnds(t *testing.T) {
	for text, want := range map[string]string{
		"2030-01-02T15:04:05.1234569Z":          "2030-01-02T15:04:05.123456Z",
		"2030-12-31T23:59:59.99999999999Z":      "2030-12-31T23:59:59.999999Z",
		"2030-12-31T23:59:59.99999999999+01:00": "2030-12-31T22:59:59.999999Z",
		"9999-12-31T23:59:59.9999999Z":          "9999-12-31T23:59:59.999999Z",
		"1969-12-31T23:59:59.0000019Z":          "1969-12-31T23:59:59.000001Z",
	} {
		at, err := httpapi.ParseEnd(text)
		require.NoError(t, err, text)
		require.Equal(t, want, at.Format(time.RFC3339Nano), text)
	}
	_, err := httpapi.ParseEnd("2030-01-02T15:04:05")
	require.ErrorContains(t, err, "no zone")
}

func TestBoundsOfATask(t *testing.T) {
	s := newService(t)
	created := s.do(t, "POST", "/task", `{"task_type":"foo","execution_time":"2030-01-02T15:04:05.1234561Z","not_after":"2030-01-02T15:04:05.1234561Z",
		"timeout":"1m30s","retry":{"delay":"1.5s","jitter":0}}`)
	require.Equal(t, 201, created.Code, created.Body.String())
	path := created.Header().Get("Location")
	created = s.do(t, "GET", path, "")
	require.Equal(t, "2030-01-02T15:04:05.123457Z", created.body["execution_time"])
	require.Equal(t, "2030-01-02T15:04:05.123456Z", created.body["not_after"])
	require.Equal(t, "1m30s", created.body["timeout"])
	retry := map[string]any{"delay": "1.5s", "factor": 2.0, "max_delay": "1h", "jitter": 0.0}
	require.Equal(t, retry, created.body["retry"])

	patch := func(body string) answer { return s.do(t, "PATCH", path, body) }
	merged := patch(`{"retry":{"factor":3,"delay":null},"timeout":null}`)
	require.Equal(t, 200, merged.Code, merged.Body.String())
	require.Equal(t, map[string]any{"delay": "1s", "factor": 3.0, "max_delay": "1h", "jitter": 0.0}, merged.body["retry"])
	require.NotContains(t, merged.body, "timeout")
	require.Equal(t, merged.body, s.do(t, "GET", path, "").body)

	// A move may not leave its own not_after behind.
	stale := patch(`{"execution_time":"2031-01-02T15:04:05Z"}`)
	require.Equal(t, 422, stale.Code)
	require.Contains(t, stale.Body.String(), `"field":"not_after"`)
	moved := patch(`{"execution_time":"2031-01-02T15:04:05Z","not_after":"2031-01-02T15:05:00Z"}`)
	require.Equal(t, 200, moved.Code, moved.Body.String())
	bare := patch(`{"not_after":null,"retry":null}`)
	require.NotContains(t, bare.body, "not_after")
	require.NotContains(t, bare.body, "retry")

	for member, field := range map[string]string{
		`"not_after":"2030-01-02T15:04:05"`:        "not_after",
		`"not_after":7`:                            "not_after",
		`"not_after":"2029-12-31T23:59:59.99999Z"`: "not_after",
		`"timeout":"0s"`:                           "timeout",
		`"timeout":"25h"`:                          "timeout",
		`"timeout":30`:                             "timeout",
		`"timeout":"-1s"`:                          "timeout",
		`"retry":7`:                                "retry",
		`"retry":{"delay":"0s"}`:                   "retry.delay",
		`"retry":{"factor":0.5}`:                   "retry.factor",
		`"retry":{"max_delay":"1000h"}`:            "retry.max_delay",
		`"retry":{"jitter":2}`:                     "retry.jitter",
		`"retry":{"delays":"1s"}`:                  "retry.delays",
	} {
		before := s.do(t, "GET", path, "").Header().Get("ETag")
		for _, a := range []answer{
			s.do(t, "POST", "/task", `{"task_type":"foo","execution_time":"2030-01-01T00:00:00Z",`+member+`}`),
			s.do(t, "POST", "/task/batch", `{"tasks":[{"task_type":"foo","execution_time":"2030-01-01T00:00:00Z",`+member+`}]}`),
			patch(`{"execution_time":"2030-01-01T00:00:00Z",` + member + `}`),
		} {
			require.Equal(t, 422, a.Code, member)
			require.Contains(t, a.Body.String(), field+`"`, member)
		}
		require.Equal(t, before, s.do(t, "GET", path, "").Header().Get("ETag"))
	}
}

// A schedule bounds its tasks too, but for not_after, which would be the same for all of them.
func TestBoundsOfAScheduledTask(t *testing.T) {
	read, err := httpapi.DecodeSchedule("a", []byte(`{"every":"1h","task":{"task_type":"foo","timeout":"5s","retry":{"delay":"2s"}}}`))
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, *read.Timeout)
	require.Equal(t, task.Retry{Delay: 2 * time.Second, Factor: 2, MaxDelay: time.Hour, Jitter: 0.2}, *read.Retry)
	_, err = httpapi.DecodeSchedule("a", []byte(`{"every":"1h","task":{"task_type":"foo","not_after":"2030-01-02T15:04:05Z"}}`))
	require.Equal(t, []string{"task.not_after"}, httpapi.FieldsOf(err))
}
