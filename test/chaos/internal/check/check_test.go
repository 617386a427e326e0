package check_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/check"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

var (
	start  = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	id     = uuid.MustParse("0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a")
	worker = uuid.MustParse("5a0e5e0b-5b0f-4d7c-8f5b-0a4d8f3b1c2d")
)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// good is a task that was created, ran once, and was then looked at.
func good() *check.History {
	return &check.History{
		Settled: &history.Settled{},
		Record: judge.Record{
			Calls: []judge.Call{
				{Op: "create", N: 1, Task: id, Due: at(100), Invoked: at(0), Returned: at(5), Outcome: judge.OK},
				{Op: "delete", N: 1, Task: id, Invoked: at(130), Returned: at(140), Outcome: judge.Fail, Status: "started_executing"},
				{Op: "get", N: 1, Task: id, Invoked: at(200), Returned: at(205), Outcome: judge.OK, Status: "done"},
			},
			Rows: map[uuid.UUID]judge.Row{id: {
				ID: id, N: 1, Status: "done", Due: at(100), Attempt: 1, MaxAttempts: 1,
			}},
			Arrivals: map[uuid.UUID][]judge.Arrival{id: {{N: 1, Task: id, Attempt: 1, At: at(120)}}},
		},
		Answers: map[uuid.UUID][]judge.Arrival{id: {{N: 1, Task: id, Attempt: 1, At: at(140)}}},
		Transitions: map[uuid.UUID][]history.Transition{id: {
			{Task: id, To: "submitted", Max: 1, Due: at(100), At: at(2)},
			{Task: id, From: "submitted", To: "started_executing", Attempt: 1, Max: 1, Worker: worker, Due: at(100), At: at(110)},
			{Task: id, From: "started_executing", To: "done", Attempt: 1, Max: 1, Worker: worker, Due: at(100), At: at(150)},
		}},
	}
}

func TestNothingIsFoundInAGoodHistory(t *testing.T) {
	v := check.All(good())
	require.Empty(t, v.Found)
	require.Equal(t, 1, v.Counts["executions"])
	require.Equal(t, 1, v.Counts["histories checked"])
}

func TestEachCheckerFindsWhatItIsFor(t *testing.T) {
	row := func(h *check.History, change func(*judge.Row)) {
		r := h.Rows[id]
		change(&r)
		h.Rows[id] = r
	}
	for name, c := range map[string]struct {
		spoil func(*check.History)
		want  []string
	}{
		"twice": {func(h *check.History) {
			h.Arrivals[id] = append(h.Arrivals[id], judge.Arrival{N: 1, Task: id, Attempt: 1, At: at(121)})
		}, []string{check.Schedule}},
		"early":                       {func(h *check.History) { h.Arrivals[id][0].At = at(99) }, []string{check.Schedule}},
		"done before it was answered": {func(h *check.History) { h.Answers[id][0].At = at(151) }, []string{check.Schedule}},
		"done by another attempt's end": {func(h *check.History) {
			h.Answers[id][0].Attempt = 2
		}, []string{check.Schedule}},
		"done and never arrived": {func(h *check.History) {
			delete(h.Arrivals, id)
		}, []string{check.Schedule}},
		"arrived and unknown to the store": {func(h *check.History) {
			other := uuid.New()
			h.Arrivals[other] = []judge.Arrival{{N: 9, Task: other, Attempt: 1, At: at(120)}}
		}, []string{check.Schedule}},
		"deleted and ran": {func(h *check.History) {
			h.Calls[1].Outcome, h.Calls[1].Status = judge.OK, "deleted"
		}, []string{check.Linear, check.Schedule}},
		"one attempt too many": {func(h *check.History) {
			row(h, func(r *judge.Row) { r.MaxAttempts = 2 })
			h.Arrivals[id][0].Attempt = 3
		}, []string{check.Schedule}},
		"acknowledged and not there": {func(h *check.History) {
			delete(h.Rows, id)
			delete(h.Arrivals, id)
			delete(h.Transitions, id)
		}, []string{check.Linear, check.Multiset}},
		"there and refused": {func(h *check.History) {
			h.Calls[0].Outcome, h.Calls[0].Why = judge.Fail, "unavailable"
			h.Calls[0].Task = uuid.Nil
		}, []string{check.Linear, check.Multiset}},
		"made twice": {func(h *check.History) {
			other := uuid.New()
			h.Rows[other] = judge.Row{ID: other, N: 1, Status: "submitted", Due: at(100), MaxAttempts: 1}
			h.Transitions[other] = []history.Transition{{Task: other, To: "submitted", Max: 1, Due: at(100)}}
		}, []string{check.Multiset}},
		"another time than asked": {func(h *check.History) {
			row(h, func(r *judge.Row) { r.Due = at(101) })
		}, []string{check.Multiset}},
		"done before it was seen submitted": {func(h *check.History) {
			h.Calls[2].Status = "submitted"
		}, []string{check.Linear}},
		"a delete that was refused before the start": {func(h *check.History) {
			h.Calls[1].Status = "done"
			h.Calls[2] = judge.Call{
				Op: "get", N: 1, Task: id, Invoked: at(160), Returned: at(170), Outcome: judge.OK, Status: "started_executing",
			}
		}, []string{check.Linear}},
		"started before its time": {func(h *check.History) { h.Transitions[id][1].At = at(99) }, []string{check.Transitions}},
		"started for a dead session": {func(h *check.History) {
			h.Transitions[id][1].SessionDead = true
		}, []string{check.Transitions}},
		"ended by another session": {func(h *check.History) {
			h.Transitions[id][2].Worker = uuid.New()
		}, []string{check.Transitions}},
		"from deleted to started": {func(h *check.History) {
			h.Transitions[id][0].To, h.Transitions[id][1].From = "deleted", "deleted"
		}, []string{check.Transitions}},
		"an attempt that is not counted": {func(h *check.History) {
			h.Transitions[id][1].Attempt = 0
		}, []string{check.Transitions}},
		"worker lost while its session lives": {func(h *check.History) {
			h.Transitions[id][2].To, h.Transitions[id][2].Failure = "failed", "worker_lost"
			row(h, func(r *judge.Row) { r.Status, r.Failure = "failed", "worker_lost" })
			h.Calls[2].Status = "failed"
		}, []string{check.Transitions}},
		"a change that nobody noted": {func(h *check.History) {
			h.Transitions[id] = h.Transitions[id][:2]
		}, []string{check.Schedule, check.Transitions}},
		"not at rest": {func(h *check.History) { h.Settled.Wrong = []string{"3 tasks are overdue"} }, []string{check.Settle}},
		"more at once than the limit": {func(h *check.History) {
			h.Events = []history.Event{{At: at(105), What: history.Limited, Detail: "0"}}
		}, []string{check.Limits}},
		"started while the type was paused": {func(h *check.History) {
			h.Events = []history.Event{{At: at(105), What: history.Paused}, {At: at(111), What: history.Freed}}
		}, []string{check.Limits}},
		"leak": {func(h *check.History) {
			h.Vitals = []history.Vitals{
				{Node: "api-0", Goroutines: 10}, {Node: "api-0", Goroutines: 100},
			}
		}, []string{check.Leaks}},
		"crash": {func(h *check.History) {
			h.Events = []history.Event{{What: "ended", To: "api-0", Detail: "exit status 2"}}
		}, []string{check.Leaks}},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			c.spoil(h)
			require.Equal(t, c.want, check.All(h).Broken(), "%v", check.All(h).Found)
		})
	}
}

func TestWhatIsUnknownStaysOpen(t *testing.T) {
	h := good()
	h.Calls[0].Outcome, h.Calls[0].Task = judge.Unknown, uuid.Nil
	h.Calls[1].Outcome, h.Calls[1].Status = judge.Unknown, ""
	require.Empty(t, check.All(h).Found)
}

func TestAnAttemptOfALostWorkerMayArriveLate(t *testing.T) {
	other := uuid.New()
	h := good()
	r := h.Rows[id]
	r.Attempt, r.MaxAttempts = 2, 2
	h.Rows[id] = r
	h.Arrivals[id] = []judge.Arrival{
		{N: 1, Task: id, Attempt: 2, At: at(190)}, {N: 1, Task: id, Attempt: 1, At: at(195)},
	}
	h.Answers[id] = []judge.Arrival{{N: 1, Task: id, Attempt: 2, At: at(192)}}
	h.Transitions[id] = []history.Transition{
		{Task: id, To: "submitted", Max: 2, Due: at(100), At: at(2)},
		{Task: id, From: "submitted", To: "started_executing", Attempt: 1, Max: 2, Worker: worker, Due: at(100), At: at(110)},
		{Task: id, From: "started_executing", To: "submitted", Attempt: 1, Max: 2, Worker: worker, SessionDead: true, Failure: "worker_lost", Due: at(100), At: at(150)},
		{Task: id, From: "submitted", To: "started_executing", Attempt: 2, Max: 2, Worker: other, Due: at(150), At: at(180)},
		{Task: id, From: "started_executing", To: "done", Attempt: 2, Max: 2, Worker: other, Due: at(150), At: at(198)},
	}
	require.Empty(t, check.All(h).Found)

	h.Transitions[id][2].Failure, h.Transitions[id][2].SessionDead = "handler_error", false
	require.Equal(t, []string{check.Schedule}, check.All(h).Broken())
}
