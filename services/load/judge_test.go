package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/judge"
)

// caseOf is a run of one task, due a minute after its creation, that started
// and ended as it should. Each test spoils one thing.
func caseOf() (evidence, uuid.UUID, time.Time) {
	id := uuid.MustParse("01900000-0000-7000-8000-000000000001")
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	due := created.Add(time.Minute)
	started := due.Add(2 * time.Millisecond)
	return evidence{
		planned: 1,
		calls: []judge.Call{{
			Op: "create", Task: id, Due: due, Outcome: judge.OK, Invoked: created, Returned: created.Add(time.Millisecond),
		}},
		took:  time.Second,
		grace: time.Second,
		followed: followed{
			seen: map[uuid.UUID]client.Task{id: {
				ID: id, Status: client.Done, Attempt: 1, ExecutionTime: due, CreatedAt: created, StartedAt: &started, FinishedAt: &started,
			}},
			until: due.Add(time.Hour), looked: due.Add(time.Hour), ending: settled,
		},
	}, id, due
}

// change changes what was seen of the task.
func (e *evidence) change(id uuid.UUID, how func(*client.Task)) {
	t := e.seen[id]
	how(&t)
	e.seen[id] = t
}

// waits makes the task one that nobody has started.
func waits(t *client.Task) {
	t.Status, t.Attempt, t.StartedAt, t.FinishedAt = client.Submitted, 0, nil, nil
}

func TestJudgeFindsNothingWrong(t *testing.T) {
	e, _, _ := caseOf()
	r := judgeRun(e)
	require.False(t, r.broken())
	require.Equal(t, judge.Spread{Count: 1, P50: 2 * time.Millisecond, P99: 2 * time.Millisecond, Max: 2 * time.Millisecond}, r.lateness)
	require.Equal(t, time.Millisecond, r.latency.Max)
	require.Zero(t, r.startDelay.Count)
}

func TestJudgeAllowsTheExactInstant(t *testing.T) {
	e, id, due := caseOf()
	e.change(id, func(t *client.Task) { t.StartedAt = &due })
	require.False(t, judgeRun(e).broken())

	before := due.Add(-time.Microsecond)
	e.change(id, func(t *client.Task) { t.StartedAt = &before })
	require.Equal(t, 1, judgeRun(e).Counts[judge.Early])
}

func TestJudgeMeasuresOverdueTasksFromTheirCreation(t *testing.T) {
	e, id, due := caseOf()
	e.change(id, func(t *client.Task) { t.CreatedAt = due.Add(time.Millisecond) })
	require.Equal(t, time.Millisecond, judgeRun(e).startDelay.Max)
}

func TestJudgeKeepsWaitingApartFromLost(t *testing.T) {
	e, id, due := caseOf()
	e.change(id, waits)
	require.Equal(t, 1, judgeRun(e).Counts[judge.Lost], "the grace has passed")

	inGrace := e
	inGrace.looked = due.Add(e.grace)
	require.False(t, judgeRun(inGrace).broken())
	require.Equal(t, 1, judgeRun(inGrace).Counts[overdue])

	cut := e
	cut.ending = interrupted
	require.False(t, judgeRun(cut).broken(), "nobody waited long enough to say so")

	ahead := e
	ahead.looked = due.Add(-time.Second)
	require.Equal(t, 1, judgeRun(ahead).Counts[later])
}

func TestJudgeCallsSharedIDsLost(t *testing.T) {
	e, _, _ := caseOf()
	again := e.calls[0]
	again.N = 1
	e.calls = append(e.calls, again)
	require.Equal(t, 1, judgeRun(e).Counts[judge.Lost])
}

func TestJudgeForgivesOneRunOfAnUnknownCreate(t *testing.T) {
	e, id, due := caseOf()
	e.witnessed = true
	stranger := uuid.MustParse("01900000-0000-7000-8000-000000000002")
	e.arrivals = map[uuid.UUID][]judge.Arrival{id: {{At: due}}, stranger: {{N: 1, At: due}}}
	require.True(t, judgeRun(e).broken(), "nobody asked for that one")

	e.calls = append(e.calls, judge.Call{Op: "create", N: 1, Due: due, Outcome: judge.Unknown})
	require.False(t, judgeRun(e).broken())
	require.Equal(t, 1, judgeRun(e).Counts["refused: no answer"])

	e.arrivals[stranger] = append(e.arrivals[stranger], judge.Arrival{N: 1, At: due})
	require.Equal(t, 1, judgeRun(e).Counts[judge.Twice])
}

func TestJudgeProvesNothingWithoutALastLook(t *testing.T) {
	e, id, _ := caseOf()
	e.err = errors.New("no answer")
	require.True(t, judgeRun(e).broken())

	delete(e.seen, id)
	require.Zero(t, judgeRun(e).Counts[judge.Lost], "nobody knows")

	require.True(t, judgeRun(evidence{planned: 1}).broken(), "nothing was acknowledged")
}

// A bar task that ran and got no answer says nothing of the scheduler.
func TestJudgeCountsWhatBarCouldNotReachApart(t *testing.T) {
	e, id, _ := caseOf()
	e.change(id, func(t *client.Task) { t.Status, t.Failure = "failed", &client.Failure{Code: "handler_error"} })
	require.Equal(t, 1, judgeRun(e).Counts["failure: handler_error"])

	e.change(id, func(t *client.Task) { t.Type = "bar" })
	judged := judgeRun(e)
	require.Zero(t, judged.Counts["failure: handler_error"])
	require.Equal(t, 1, judged.Counts[unreached])
	require.False(t, judged.broken())
}
