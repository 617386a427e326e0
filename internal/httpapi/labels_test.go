package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

const withLabels = `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","labels":%s}`

// object has n labels.
func object(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestLabelsAreReadAndShown(t *testing.T) {
	s := newService(t)
	for given, want := range map[string]any{
		`{"url":"http://a:80/x","e":""}`: map[string]any{"url": "http://a:80/x", "e": ""},
		`{"a":"1","a":"2"}`:              map[string]any{"a": "2"},
		`{"\u0061":"\u00e9\n"}`:          map[string]any{"a": "é\n"},
		`{"` + strings.Repeat("k", 63) + `":"` + strings.Repeat("é", 127) + `"}`: map[string]any{strings.Repeat("k", 63): strings.Repeat("é", 127)},
		`{}`: nil, `null`: nil,
	} {
		a := s.do(t, "POST", "/task", fmt.Sprintf(withLabels, given))
		require.Equal(t, 201, a.Code, a.Body.String())
		shown := s.do(t, "GET", a.Header().Get("Location"), "").body
		require.Equal(t, want, shown["labels"], given)
	}
	require.Equal(t, 201, s.do(t, "POST", "/task", fmt.Sprintf(withLabels, object(16))).Code)
	require.Len(t, s.tasks[len(s.tasks)-1].Labels, 16)
}

func TestBadLabels(t *testing.T) {
	s := newService(t)
	for given, fields := range map[string][]string{
		`[]`: {"labels"}, `"a:b"`: {"labels"}, `7`: {"labels"}, object(17): {"labels"}, object(1000): {"labels"},
		`{"a":1}`: {"labels.a"}, `{"a":null}`: {"labels.a"}, `{"a":["x"]}`: {"labels.a"}, `{"":"x"}`: {"labels."}, `{"a:b":"x"}`: {"labels.a:b"},
		`{"é":"x"}`: {"labels.é"}, `{"a b":"x"}`: {"labels.a b"}, `{"a\u0000":"x"}`: {"labels.a\x00"}, `{"a":"\u0000"}`: {"labels.a"},
		`{"a":"\ud800"}`: {"labels.a"}, `{"\ud800":"x"}`: {"labels"}, `{"a":"` + strings.Repeat("é", 128) + `","b":2}`: {"labels.a", "labels.b"},
		`{"` + strings.Repeat("k", 64) + `":"x"}`: {"labels." + strings.Repeat("k", 64)},
	} {
		a := s.do(t, "POST", "/task", fmt.Sprintf(withLabels, given))
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, fields, a.fields(), given)
	}
	require.Empty(t, s.tasks)
	a := s.do(t, "POST", "/task/batch", `{"tasks":[`+good+`,`+fmt.Sprintf(withLabels, `{"a":"\u0000"}`)+`]}`)
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{"tasks[1].labels.a"}, a.fields())
}

func TestPatchMergesLabels(t *testing.T) {
	s := newService(t)
	path := s.do(t, "POST", "/task", fmt.Sprintf(withLabels, `{"a":"1","b":"1","c":"1"}`)).Header().Get("Location")
	for _, step := range []struct {
		patch string
		want  any
	}{
		{`{"labels":{"b":null,"c":"2","d":"1","x":null}}`, map[string]any{"a": "1", "c": "2", "d": "1"}},
		{`{"labels":{}}`, map[string]any{"a": "1", "c": "2", "d": "1"}},
		{`{"max_attempts":3}`, map[string]any{"a": "1", "c": "2", "d": "1"}},
		{`{"labels":{"a":null,"c":null,"d":null}}`, nil},
		{`{"labels":` + object(16) + `}`, nil},
		{`{"labels":null}`, nil},
		{`{"labels":{"z":"1"}}`, map[string]any{"z": "1"}},
	} {
		a := s.do(t, "PATCH", path, step.patch)
		require.Equal(t, 200, a.Code, a.Body.String())
		if !strings.Contains(step.patch, "k15") {
			require.Equal(t, step.want, a.body["labels"], step.patch)
		}
	}
	for patch, fields := range map[string][]string{
		`{"labels":` + object(16) + `}`: {"labels"}, // with the one that is there
		`{"labels":[]}`:                 {"labels"},
		`{"labels":{"a":2,"é":null}}`:   {"labels.a", "labels.é"},
	} {
		a := s.do(t, "PATCH", path, patch)
		requireProblem(t, a, 422, "invalid")
		require.ElementsMatch(t, fields, a.fields(), patch)
	}
}

func TestLabelsOfASchedule(t *testing.T) {
	t.Parallel()
	read, err := httpapi.DecodeSchedule("a", []byte(`{"every": "90s", "task": {"task_type": "foo", "labels": {"b": "2", "a": "1"}}}`))
	require.NoError(t, err)
	require.Equal(t, task.Labels{"a:1", "b:2"}, read.Labels)
	_, err = httpapi.DecodeSchedule("a", []byte(`{"every": "90s", "task": {"task_type": "foo", "labels": {"b": 2}}}`))
	require.Equal(t, []string{"task.labels.b"}, httpapi.FieldsOf(err))
}
