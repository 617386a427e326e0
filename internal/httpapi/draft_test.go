package httpapi_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		"2030-01-02T15:04:05Z":                   "2030-01-02T15:04:05Z",
		"2030-01-02t15:04:05z":                   "2030-01-02T15:04:05Z",
		"2030-01-02T15:04:05+02:00":              "2030-01-02T13:04:05Z",
		"2030-01-02T15:04:05-00:00":              "2030-01-02T15:04:05Z",
		"2030-01-02T15:04:05+23:59":              "2030-01-01T15:05:05Z",
		"2030-01-02T15:04:05-23:59":              "2030-01-03T15:03:05Z",
		"2030-01-02T15:04:05.1Z":                 "2030-01-02T15:04:05.1Z",
		"2030-01-02T15:04:05.123456Z":            "2030-01-02T15:04:05.123456Z",
		"2030-01-02T15:04:05.1234561Z":           "2030-01-02T15:04:05.123457Z",
		"2030-01-02T15:04:05.123456000Z":         "2030-01-02T15:04:05.123456Z",
		"2030-01-02T15:04:05.1234560000000001Z":  "2030-01-02T15:04:05.123457Z",
		"2030-01-02T15:04:05.0000000000000001Z":  "2030-01-02T15:04:05.000001Z",
		"2030-01-02T15:04:05.00000000000000000Z": "2030-01-02T15:04:05Z",
		"2030-12-31T23:59:59.99999999999Z":       "2031-01-01T00:00:00Z",
		"2028-02-29T00:00:00Z":                   "2028-02-29T00:00:00Z",
		"0001-01-01T00:00:00Z":                   "0001-01-01T00:00:00Z",
		"0000-12-31T23:59:59-00:01":              "0001-01-01T00:00:59Z",
		"9999-12-31T23:59:59Z":                   "9999-12-31T23:59:59Z",
		"9999-12-31T23:59:59.9999989Z":           "9999-12-31T23:59:59.999999Z",
		"9999-12-31T23:59:59.999999Z":            "9999-12-31T23:59:59.999999Z",
		"1970-01-01T00:00:00.5Z":                 "1970-01-01T00:00:00.5Z",
		"1969-12-31T23:59:59.0000001Z":           "1969-12-31T23:59:59.000001Z",
	} {
		at, err := httpapi.ParseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, at.Format(time.RFC3339Nano), text)
		require.Equal(t, time.UTC, at.Location())
	}
	for text, why := range map[string]string{
		"":                             "RFC 3339",
		"now":                          "RFC 3339",
		"1893596645":                   "RFC 3339",
		"2030-01-02":                   "RFC 3339",
		"2030-01-02 15:04:05Z":         "RFC 3339",
		"2030-01-02T15:04Z":            "RFC 3339",
		"2030-01-02T15:04:05":          "no zone",
		"2030-01-02T15:04:05.5":        "no zone",
		"2030-01-02T15:04:05.Z":        "RFC 3339",
		"2030-01-02T15:04:05,5Z":       "RFC 3339",
		"2030-01-02T5:04:05Z":          "RFC 3339",
		"2030-1-2T15:04:05Z":           "RFC 3339",
		"2030-01-02T15:04:05+2:00":     "RFC 3339",
		"2030-01-02T15:04:05+0200":     "RFC 3339",
		"2030-01-02T15:04:05+02:00Z":   "RFC 3339",
		"2030-01-02T15:04:05Z ":        "RFC 3339",
		" 2030-01-02T15:04:05Z":        "RFC 3339",
		"2030-01-02T15:04:05 CET":      "RFC 3339",
		"+2030-01-02T15:04:05Z":        "RFC 3339",
		"10000-01-01T00:00:00Z":        "RFC 3339",
		"-001-01-01T00:00:00Z":         "RFC 3339",
		"２０３０-01-02T15:04:05Z":         "RFC 3339",
		"2030-01-02T15:04:05+24:00":    "zone beyond",
		"2030-01-02T15:04:05-23:60":    "zone beyond",
		"2030-01-02T15:04:60Z":         "leap second",
		"2016-12-31T23:59:60Z":         "leap second",
		"2030-01-02T15:04:61Z":         "not a time",
		"2030-01-02T24:00:00Z":         "not a time",
		"2030-01-02T15:60:00Z":         "not a time",
		"2030-13-01T00:00:00Z":         "not a time",
		"2030-00-01T00:00:00Z":         "not a time",
		"2030-01-00T00:00:00Z":         "not a day",
		"2030-01-32T00:00:00Z":         "not a day",
		"2030-02-29T00:00:00Z":         "not a day",
		"2030-04-31T00:00:00Z":         "not a day",
		"0000-01-01T00:00:00Z":         "years 0001 to 9999",
		"0001-01-01T00:00:00+00:01":    "years 0001 to 9999",
		"9999-12-31T23:59:59-00:01":    "years 0001 to 9999",
		"9999-12-31T23:59:59.9999999Z": "years 0001 to 9999",
	} {
		_, err := httpapi.ParseTime(text)
		require.ErrorContains(t, err, why, text)
	}
}

func TestPayloads(t *testing.T) {
	deep := func(levels int) string {
		return strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1)
	}
	zeros := strings.Repeat("0", 1000)
	for _, fine := range []string{
		`{}`, `{"a":1,"a":2}`, `{"a":"\ud83d\ude00 \u0001 \\u0000 \"{[ \\\\u0000"}`, `{"\u0061":[true,false,null,"e","1e999"]}`,
		`{"a":[1e308,-1E-308,1.5e+10,0e0]}`, deep(64), `{"a":"` + strings.Repeat("[", 100) + `"}`,
	} {
		require.True(t, json.Valid([]byte(fine)), fine)
		require.NoError(t, httpapi.CheckPayload(fine), fine)
	}
	for bad, why := range map[string]string{
		`[]`:                            "must be an object",
		`"x"`:                           "must be an object",
		`1`:                             "must be an object",
		`false`:                         "must be an object",
		deep(65):                        "deeper than 64",
		`{"a":"x\u0000y"}`:              "U+0000",
		`{"\u0000":1}`:                  "U+0000",
		`{"a":["\\\u0000"]}`:            "U+0000",
		`{"a":"\ud800"}`:                "surrogate",
		`{"a":"\udc00"}`:                "surrogate",
		`{"a":"\ud800\ud800"}`:          "surrogate",
		`{"a":"\udc00\ud800"}`:          "surrogate",
		`{"a":"\ud800\u0041"}`:          "surrogate",
		`{"a":"\uD83Dx"}`:               "surrogate",
		`{"a":"\ud800\\udc00"}`:         "surrogate",
		`{"\uDEAD":1}`:                  "surrogate",
		`{"a":1e309}`:                   "exponent",
		`{"a":[-0.5E-309]}`:             "exponent",
		`{"a":1e999999999999999999999}`: "exponent",
		`{"a":-0.` + zeros + `1}`:       "more than 1000 digits",
		`{"a":1e` + zeros + `1}`:        "more than 1000 digits",
	} {
		require.True(t, json.Valid([]byte(bad)), bad)
		require.ErrorContains(t, httpapi.CheckPayload(bad), why, bad)
	}
}

// FuzzDraft checks what is accepted against package json's own view of it.
func FuzzDraft(f *testing.F) {
	f.Add([]byte(good), "key")
	f.Add([]byte(`{"task_type":"foo","execution_time":"2030-01-02T15:04:05.5+01:00","payload":{"a":["\ud83d\ude00",1e5]},"max_attempts": 7 }`), "")
	f.Add([]byte(`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"a":"\ud800\u0000"}}`), "k")
	f.Add([]byte(`{"payload" : {} , "max_attempts" : 1e0`), " ")
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		draft, err := httpapi.DecodeDraft([]string{"foo"}, body, []string{key})
		if err != nil {
			return
		}
		var plain struct {
			TaskType      string          `json:"task_type"`
			ExecutionTime string          `json:"execution_time"`
			Payload       json.RawMessage `json:"payload"`
			MaxAttempts   *int            `json:"max_attempts"`
		}
		require.True(t, utf8.Valid(body))
		require.NoError(t, json.Unmarshal(body, &plain))
		require.Equal(t, "foo", draft.Type)
		require.False(t, draft.ExecutionTime.Before(task.MinTime) || draft.ExecutionTime.After(task.MaxTime))
		require.Zero(t, draft.ExecutionTime.Nanosecond()%1000)
		require.Equal(t, key, draft.Key)
		require.GreaterOrEqual(t, draft.MaxAttempts, 1)
		require.LessOrEqual(t, draft.MaxAttempts, task.MaxAttemptsLimit)
		if draft.Payload != nil {
			require.True(t, json.Valid(draft.Payload))
			require.NotContains(t, decoded(t, draft.Payload), "\x00")
		}
	})
}

// FuzzBulk checks that a bulk create is read as its tasks are one by one.
func FuzzBulk(f *testing.F) {
	f.Add([]byte(good), []byte(`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"a":["]","\\"]}}`))
	f.Add([]byte(`{"task_type":"foo","execution_time":"2030-01-02t15:04:05.25z","max_attempts":2}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, one, other []byte) {
		drafts, err := httpapi.DecodeBatch([]string{"foo"}, []byte(`{"tasks":[`+string(one)+" ,\n"+string(other)+`]}`))
		if err != nil || len(drafts) != 2 {
			return
		}
		for i, body := range [][]byte{one, other} {
			draft, err := httpapi.DecodeDraft([]string{"foo"}, body, nil)
			require.NoError(t, err)
			require.Equal(t, draft, drafts[i])
		}
	})
}

// decoded is a payload with its escapes undone, as one text.
func decoded(t *testing.T, payload json.RawMessage) string {
	t.Helper()
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(payload)))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&value))
	var all strings.Builder
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case string:
			all.WriteString(value)
		case json.Number:
			_, err := strconv.ParseFloat(value.String(), 64)
			if err != nil {
				all.WriteString(value.String())
			}
		case []any:
			for _, one := range value {
				walk(one)
			}
		case map[string]any:
			for name, one := range value {
				all.WriteString(name)
				walk(one)
			}
		}
	}
	walk(value)
	return all.String()
}
