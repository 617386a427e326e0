package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestAScheduleIsRead(t *testing.T) {
	t.Parallel()
	read, err := httpapi.DecodeSchedule("report.daily", []byte(`{"cron": "0 9 * * 1-5", "time_zone": "Europe/Paris",
		"starts_at": "2027-01-01T00:00:00Z", "ends_at": "2028-01-01T00:00:00+01:00", "jitter": "10s", "catch_up": "none",
		"overlap": "skip", "paused": true, "task": {"task_type": "foo", "payload": {"n": 1.10}, "max_attempts": 3}}`))
	require.NoError(t, err)
	starts, ends, three := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 12, 31, 23, 0, 0, 0, time.UTC), 3
	require.Equal(t, task.Schedule{
		Name: "report.daily", Cron: "0 9 * * 1-5", Zone: "Europe/Paris", StartsAt: &starts, EndsAt: &ends, Jitter: 10 * time.Second,
		CatchUp: task.CatchUpNone, Overlap: task.OverlapSkip, Paused: true, TaskType: "foo", Payload: []byte(`{"n": 1.10}`), MaxAttempts: &three,
	}, read)
	least, err := httpapi.DecodeSchedule("a", []byte(`{"every": "90s", "cron": null, "task": {"task_type": "foo"}}`))
	require.NoError(t, err)
	require.Equal(t, task.Schedule{
		Name: "a", Every: 90 * time.Second, Zone: "UTC", CatchUp: task.CatchUpLast, Overlap: task.OverlapAllow, TaskType: "foo",
	}, least)
}

func TestFaultsOfASchedule(t *testing.T) {
	t.Parallel()
	const rest = `,"task":{"task_type":"foo"}}`
	for body, fields := range map[string][]string{
		`{}`: {"cron", "task"},
		`{"cron":"* * * * *","every":"1s"` + rest:                {"cron"},
		`{"cron":"TZ=0"` + rest:                                  {"cron"},
		`{"cron":"CRON_TZ=UTC * * * * *"` + rest:                 {"cron"},
		`{"cron":"*/0 * * * *"` + rest:                           {"cron"},
		`{"cron":"*/00 0 * * *"` + rest:                          {"cron"},
		`{"cron":"5-2 * * * *"` + rest:                           {"cron"},
		`{"cron":","` + rest:                                     {"cron"},
		`{"cron":7` + rest:                                       {"cron"},
		`{"cron":"0 0 31 2 *"` + rest:                            {"cron"},
		`{"cron":"` + strings.Repeat("1,", 100_000) + `"` + rest: {"cron"},
		`{"every":"0s"` + rest:                                   {"every"},
		`{"every":"-1s"` + rest:                                  {"every"},
		`{"every":"1ns"` + rest:                                  {"every"},
		`{"every":90` + rest:                                     {"every"},
		`{"every":"1s","time_zone":""` + rest:                    {"time_zone"},
		`{"every":"1s","time_zone":"Local"` + rest:               {"time_zone"},
		`{"every":"1s","time_zone":"europe/paris "` + rest:       {"time_zone"},
		`{"every":"1s","time_zone":"Mars/Phobos"` + rest:         {"time_zone"},
		`{"every":"1s","time_zone":"../../etc/passwd"` + rest:    {"time_zone"},
		`{"every":"1s","time_zone":"UTC+8"` + rest:               {"time_zone"},
		`{"every":"1s","starts_at":"2027-01-02T00:00:00Z","ends_at":"2027-01-02T00:00:00Z"` + rest:    {"ends_at"},
		`{"every":"1s","starts_at":"tomorrow","jitter":"25h","paused":1,"colour":1` + rest:            {"starts_at", "jitter", "paused", "colour"},
		`{"every":"1s","catch_up":"all","overlap":"skip"` + rest:                                      {"overlap"},
		`{"every":"1s","catch_up":"some","overlap":"most"` + rest:                                     {"catch_up", "overlap"},
		`{"every":"1s","task":{"task_type":"none"}}`:                                                  {"task.task_type"},
		`{"every":"1s","task":{}}`:                                                                    {"task.task_type"},
		`{"every":"1s","task":[]}`:                                                                    {"task"},
		`{"every":"1s","task":{"task_type":"foo","execution_time":"2027-01-02T00:00:00Z","key":"a"}}`: {"task.execution_time", "task.key"},
		`{"every":"1s","task":{"task_type":"foo","max_attempts":0,"payload":7}}`:                      {"task.max_attempts", "task.payload"},
	} {
		_, err := httpapi.DecodeSchedule("a", []byte(body))
		require.Error(t, err, body)
		require.ElementsMatch(t, fields, httpapi.FieldsOf(err), body)
	}
	for _, name := range []string{"", "A", "a/b", "a b", strings.Repeat("a", 65)} {
		_, err := httpapi.DecodeSchedule(name, []byte(`{"every":"1s"`+rest))
		require.Equal(t, []string{"name"}, httpapi.FieldsOf(err), name)
	}
}

// The keys of occurrences are not for clients.
func TestAKeyOfAScheduleIsRefused(t *testing.T) {
	t.Parallel()
	_, err := httpapi.DecodeDraft([]string{"foo"}, []byte(`{"task_type":"foo","execution_time":"2027-01-02T00:00:00Z"}`),
		[]string{"schedule/a/2027-01-02T00:00:00Z"})
	require.Equal(t, []string{"Idempotency-Key"}, httpapi.FieldsOf(err))
}
