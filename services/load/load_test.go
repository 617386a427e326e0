package main

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/judge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testOptions(base string) options {
	return options{
		url: base, tasks: 40, from: -time.Second, to: 200 * time.Millisecond, clients: 4,
		types: []string{"baz", "foo"}, seed: 7, poll: 5 * time.Millisecond,
		wait: time.Minute, stall: time.Minute, grace: time.Minute,
	}
}

func mustLoad(t *testing.T, o options) *report {
	t.Helper()
	var out bytes.Buffer
	r, err := load(t.Context(), o, &out, io.Discard)
	require.NoError(t, err)
	require.NoError(t, r.print(&out))
	t.Log("\n" + out.String())
	return r
}

func TestLoadFollowsEveryTaskToItsEnd(t *testing.T) {
	s, base := newScheduler(t, map[int]flaw{3: isBusy, 4: losesReply, 5: refuses, 6: failsIt})
	r := mustLoad(t, testOptions(base))

	require.False(t, r.broken())
	require.Equal(t, 39, r.acknowledged)
	for what, count := range map[string]int{"refused: answered 422 invalid": 1, client.Done: 38, "failed": 1, "failure: worker_lost": 1} {
		require.Equal(t, count, r.Counts[what], what)
	}
	require.Equal(t, settled, r.ending)
	require.Equal(t, 39, r.lateness.Count+r.startDelay.Count)
	require.Positive(t, r.startDelay.Count)
	require.Len(t, s.tasks, 39, "a create that is tried again makes no second task")
}

func TestLoadCatches(t *testing.T) {
	for name, c := range map[string]struct {
		flaw    flaw
		kind    string
		checker string
		what    string
	}{
		"early":        {startsEarly, judge.Early, judge.ScheduleChecker, "before its time"},
		"twice":        {startsTwice, judge.Twice, judge.ScheduleChecker, "has 2 attempts"},
		"missing":      {forgets, judge.Lost, judge.MultisetChecker, "there is no such task"},
		"stuck":        {never, judge.Lost, judge.ScheduleChecker, "still submitted"},
		"another time": {movesIt, "", judge.MultisetChecker, "asked was"},
	} {
		t.Run(name, func(t *testing.T) {
			_, base := newScheduler(t, map[int]flaw{9: c.flaw, 21: c.flaw})
			o := testOptions(base)
			o.from, o.stall, o.grace = 0, 200*time.Millisecond, 50*time.Millisecond
			r := mustLoad(t, o)
			require.True(t, r.broken())
			if c.kind != "" {
				require.Equal(t, 2, r.Counts[c.kind])
			}
			require.Equal(t, []string{c.checker}, r.Broken(), "nothing else is accused")
			require.Len(t, r.Found[c.checker], 2)
			require.Contains(t, r.Found[c.checker][0], c.what)
		})
	}
}

func TestWitnessCatches(t *testing.T) {
	for name, c := range map[string]struct {
		flaw flaw
		kind string
		what string
	}{
		"a second call":        {callsTwice, judge.Twice, "arrived 2 times"},
		"no call":              {callsNever, judge.Lost, "never arrived"},
		"a call after deleted": {ignoresDelete, judge.DeletedButRan, "was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			_, base := newScheduler(t, map[int]flaw{9: c.flaw})
			o := testOptions(base)
			o.to, o.witness = 0, true
			r := mustLoad(t, o)
			require.True(t, r.broken())
			require.Equal(t, 1, r.Counts[c.kind])
			require.Contains(t, strings.Join(r.Found[judge.ScheduleChecker], "; "), c.what)
		})
	}
}

func TestWitnessFindsNothingWrong(t *testing.T) {
	_, base := newScheduler(t, nil)
	o := testOptions(base)
	o.to, o.witness = 0, true
	r := mustLoad(t, o)
	require.False(t, r.broken())
	require.Equal(t, 40, r.Counts["executions"])
}

func TestWitnessCatchesCallBeforeItsTime(t *testing.T) {
	_, base := newScheduler(t, nil) // the miniature calls at once, whatever the time
	o := testOptions(base)
	o.from, o.to, o.witness, o.tasks = time.Hour, time.Hour, true, 3
	r := mustLoad(t, o)
	require.Equal(t, 3, r.Counts[judge.Early])
}

func TestTasksDueAfterTheWaitAreLeftAlone(t *testing.T) {
	_, base := newScheduler(t, nil)
	o := testOptions(base)
	o.from, o.to, o.wait = -time.Hour, time.Hour, 0
	r := mustLoad(t, o)
	require.False(t, r.broken())
	require.Equal(t, settled, r.ending)
	require.Positive(t, r.Counts[later])
	require.Equal(t, r.Counts[later], r.Counts[client.Submitted])
	require.Equal(t, 40, r.Counts[later]+r.Counts[client.Done])
}

func TestInterruptReportsWhatIsKnown(t *testing.T) {
	s, base := newScheduler(t, nil)
	o := testOptions(base)
	o.from, o.to = -time.Hour, 30*time.Second
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s.onList = interrupt
	r, err := load(ctx, o, io.Discard, io.Discard)
	require.NoError(t, err)
	require.Equal(t, interrupted, r.ending)
	require.False(t, r.broken())
	require.Equal(t, 40, r.acknowledged)
}

func TestUnreachableIsOneSentence(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run([]string{"-url", server.URL}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "is the API up?")
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"))
	require.Empty(t, stdout.String())
}

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-n", "5", "-type", "foo,bar", "-payload", `{"a":1}`}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"foo", "bar"}, o.types)

	for _, args := range [][]string{
		{"-n", "0"},
		{"-n", "x"},
		{"-clients", "0"},
		{"-from", "1m", "-to", "0s"},
		{"-type", "foo,,bar"},
		{"-payload", "[]"},
		{"-payload", "null"},
		{"-payload", "{"},
		{"-url", "ftp://127.0.0.1"},
		{"-url", "127.0.0.1:8080"},
		{"-witness", "-type", "foo"},
		{"-stall", "0s"},
		{"extra"},
	} {
		_, err := parseOptions(args, io.Discard)
		require.Error(t, err, args)
	}
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run([]string{"-n", "0"}, &stdout, &stderr))
	require.Equal(t, 0, run([]string{"-help"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "WEBHOOK_ALLOW_PRIVATE")
}
