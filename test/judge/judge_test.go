package judge_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/judge"
)

var (
	id  = uuid.MustParse("0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a")
	due = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
)

// good is a task that was created and ran once.
func good() *judge.Record {
	return &judge.Record{
		Calls:    []judge.Call{{Op: "create", N: 1, Task: id, Due: due, Outcome: judge.OK}},
		Rows:     map[uuid.UUID]judge.Row{id: {ID: id, N: 1, Status: client.Done, Due: due, Attempt: 1, MaxAttempts: 1}},
		Arrivals: map[uuid.UUID][]judge.Arrival{id: {{N: 1, Task: id, Attempt: 1, At: due}}},
	}
}

func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	row := func(r *judge.Record, change func(*judge.Row)) {
		changed := r.Rows[id]
		change(&changed)
		r.Rows[id] = changed
	}
	for name, c := range map[string]struct {
		spoil   func(*judge.Record)
		checker string // empty: nothing
		kind    string
	}{
		"nothing": {func(*judge.Record) {}, "", ""},
		"early":   {func(r *judge.Record) { r.Arrivals[id][0].At = due.Add(-1) }, judge.ScheduleChecker, judge.Early},
		"twice": {func(r *judge.Record) {
			r.Arrivals[id] = append(r.Arrivals[id], r.Arrivals[id][0])
		}, judge.ScheduleChecker, judge.Twice},
		"never": {func(r *judge.Record) { delete(r.Arrivals, id) }, judge.ScheduleChecker, judge.Lost},
		"deleted": {func(r *judge.Record) {
			r.Calls = append(r.Calls, judge.Call{Op: "delete", Task: id, Outcome: judge.OK})
			row(r, func(row *judge.Row) { row.Status = client.Deleted })
		}, judge.ScheduleChecker, judge.DeletedButRan},
		"an unknown task": {func(r *judge.Record) {
			r.Arrivals[uuid.New()] = []judge.Arrival{{N: 2, At: due}}
		}, judge.ScheduleChecker, ""},
		"not there": {func(r *judge.Record) {
			delete(r.Rows, id)
			delete(r.Arrivals, id)
		}, judge.MultisetChecker, judge.Lost},
		"refused and there":      {func(r *judge.Record) { r.Calls[0].Outcome = judge.Fail }, judge.MultisetChecker, "unexpected"},
		"nobody asked":           {func(r *judge.Record) { r.Calls = nil }, judge.MultisetChecker, "unexpected"},
		"unknown and there":      {func(r *judge.Record) { r.Calls[0].Outcome = judge.Unknown }, "", "recovered"},
		"another time":           {func(r *judge.Record) { r.Calls[0].Due = due.Add(1) }, judge.MultisetChecker, ""},
		"acknowledged otherwise": {func(r *judge.Record) { r.Calls[0].Task = uuid.New() }, judge.MultisetChecker, ""},
		"late, of a lost worker": {func(r *judge.Record) {
			row(r, func(row *judge.Row) { row.Attempt, row.MaxAttempts = 2, 2 })
			r.Arrivals[id] = []judge.Arrival{{N: 1, Attempt: 2, At: due}, {N: 1, Attempt: 1, At: due}}
			r.Lost = map[uuid.UUID][]int{id: {1}}
		}, "", ""},
		"out of order": {func(r *judge.Record) {
			row(r, func(row *judge.Row) { row.Attempt, row.MaxAttempts = 2, 2 })
			r.Arrivals[id] = []judge.Arrival{{N: 1, Attempt: 2, At: due}, {N: 1, Attempt: 1, At: due}}
		}, judge.ScheduleChecker, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, v := good(), judge.NewVerdict()
			c.spoil(r)
			judge.Schedule(r, v)
			judge.Multiset(r, v)
			if c.checker == "" {
				require.Empty(t, v.Found)
			} else {
				require.Equal(t, []string{c.checker}, v.Broken(), "%v", v.Found)
			}
			if c.kind != "" {
				require.Equal(t, 1, v.Counts[c.kind])
			}
		})
	}
}

// A create is tried until its outcome is known; what may have been carried out by an
// earlier try stays unknown.
func TestCreateKnowsItsOutcome(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []int // statuses, in turn
		outcome judge.Outcome
		tries   int
	}{
		"at once":             {[]int{201}, judge.OK, 1},
		"refused":             {[]int{422}, judge.Fail, 1},
		"busy, then taken":    {[]int{429, 201}, judge.OK, 2},
		"busy to the end":     {[]int{429, 429, 429}, judge.Fail, 3},
		"broken, then taken":  {[]int{500, 201}, judge.OK, 2},
		"broken, then refuse": {[]int{500, 422}, judge.Unknown, 2},
		"broken to the end":   {[]int{500, 500, 500}, judge.Unknown, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := 0
			server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
				out.Header().Set("Retry-After", "0")
				out.WriteHeader(c.answers[call])
				call++
				_, _ = out.Write([]byte(`{"task_id": "` + id.String() + `", "code": "some"}`))
			}))
			defer server.Close()
			api, err := client.New(server.URL)
			require.NoError(t, err)
			got := judge.Create(t.Context(), []*client.Client{api}, 1, client.NewTask{Key: "a"}, 3)
			require.Equal(t, c.outcome, got.Outcome)
			require.Equal(t, c.tries, got.Tries)
			require.Equal(t, c.outcome == judge.OK, got.Task == id)
		})
	}
}

func TestSpreadRanks(t *testing.T) {
	t.Parallel()
	var durations []time.Duration
	for i := 200; i >= 1; i-- {
		durations = append(durations, time.Duration(i))
	}
	require.Equal(t, judge.Spread{Count: 200, P50: 100, P99: 198, Max: 200}, judge.SpreadOf(durations))
}
