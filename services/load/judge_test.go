package main

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/testkit/witness"
)

// caseOf is a run of one task, due a minute after its creation, that started
// and ended as it should. Each test spoils one thing.
func caseOf() (evidence, uuid.UUID, time.Time) {
	id := uuid.MustParse("01900000-0000-7000-8000-000000000001")
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	due := created.Add(time.Minute)
	started := due.Add(2 * time.Millisecond)
	return evidence{
		planned:     1,
		submissions: []submission{{plan: plan{taskType: "baz", at: due}, id: id, latency: time.Millisecond}},
		took:        time.Second,
		grace:       time.Second,
		followed: followed{
			records: map[uuid.UUID]record{id: {
				ID: id, Status: client.Done, Attempt: 1, CreatedAt: created, StartedAt: &started, FinishedAt: &started,
			}},
			until: due.Add(time.Hour), looked: due.Add(time.Hour), ending: settled,
		},
	}, id, due
}

// waits makes the task one that nobody has started.
func waits(e *evidence, id uuid.UUID) {
	r := e.followed.records[id]
	r.Status, r.Attempt, r.StartedAt, r.FinishedAt = client.Submitted, 0, nil, nil
	e.followed.records[id] = r
}

func TestJudgeFindsNothingWrong(t *testing.T) {
	e, _, _ := caseOf()
	r := judge(e)
	require.False(t, r.broken())
	require.Equal(t, quantiles{1, 2 * time.Millisecond, 2 * time.Millisecond, 2 * time.Millisecond}, r.lateness)
	require.Zero(t, r.startDelay.count)
}

func TestJudgeAllowsTheExactInstant(t *testing.T) {
	e, id, due := caseOf()
	r := e.followed.records[id]
	r.StartedAt = &due
	e.followed.records[id] = r
	require.Empty(t, judge(e).early)

	before := due.Add(-time.Microsecond)
	r.StartedAt = &before
	e.followed.records[id] = r
	require.Len(t, judge(e).early, 1)
}

func TestJudgeMeasuresOverdueTasksFromTheirCreation(t *testing.T) {
	e, id, due := caseOf()
	r := e.followed.records[id]
	r.CreatedAt = due.Add(time.Millisecond)
	e.followed.records[id] = r
	require.Equal(t, time.Millisecond, judge(e).startDelay.max)
}

func TestJudgeKeepsWaitingApartFromLost(t *testing.T) {
	e, id, due := caseOf()
	waits(&e, id)
	require.Len(t, judge(e).lost, 1, "the grace has passed")

	inGrace := e
	inGrace.followed.looked = due.Add(e.grace)
	require.Empty(t, judge(inGrace).lost)
	require.Equal(t, 1, judge(inGrace).overdue)

	cut := e
	cut.followed.ending = interrupted
	require.Empty(t, judge(cut).lost, "nobody waited long enough to say so")

	ahead := e
	ahead.followed.looked = due.Add(-time.Second)
	require.Equal(t, 1, judge(ahead).later)
}

func TestJudgeCallsSharedIDsLost(t *testing.T) {
	e, _, _ := caseOf()
	e.submissions = append(e.submissions, e.submissions[0])
	require.Len(t, judge(e).lost, 1)
}

func TestJudgeForgivesOneRunForEachUnknownCreate(t *testing.T) {
	e, id, due := caseOf()
	e.witnessed = true
	stranger := uuid.MustParse("01900000-0000-7000-8000-000000000002")
	e.arrivals = map[uuid.UUID][]witness.Call{id: {{At: due}}, stranger: {{At: due}}}
	require.Len(t, judge(e).twice, 1, "nobody asked for that one")

	e.submissions = append(e.submissions, submission{refused: "no answer", unknown: true})
	require.Empty(t, judge(e).twice)
	require.Equal(t, map[string]int{"no answer": 1}, judge(e).refused)
}

func TestJudgeProvesNothingWithoutALastLook(t *testing.T) {
	e, _, _ := caseOf()
	e.followed.err = errors.New("no answer")
	require.True(t, judge(e).broken())

	require.True(t, judge(evidence{planned: 1}).broken(), "nothing was acknowledged")
}

func TestMeasureRanks(t *testing.T) {
	var durations []time.Duration
	for i := 200; i >= 1; i-- {
		durations = append(durations, time.Duration(i))
	}
	require.Equal(t, quantiles{200, 100, 198, 200}, measure(durations))
}

// A bar task that ran and got no answer says nothing of the scheduler.
func TestJudgeCountsWhatBarCouldNotReachApart(t *testing.T) {
	e, id, _ := caseOf()
	r := e.followed.records[id]
	r.Status = "failed"
	require.NoError(t, json.Unmarshal([]byte(`{"code":"handler_error"}`), &r.Failure))
	e.followed.records[id] = r
	require.Equal(t, map[string]int{"handler_error": 1}, judge(e).failures)

	e.submissions[0].taskType = "bar"
	judged := judge(e)
	require.Empty(t, judged.failures)
	require.Equal(t, 1, judged.unreached)
	require.False(t, judged.broken())
}
