package groupcommit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/groupcommit"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAloneItemIsFlushedAtOnce(t *testing.T) {
	g := groupcommit.New(groupcommit.Config[int]{Items: 10, Lanes: 1, MaxLanes: 1}, func(in []int, answer func([]int, error)) { answer([]int{in[0] * 2}, nil) })
	out, err := g.Do(t.Context(), 21)
	require.NoError(t, err)
	require.Equal(t, 42, out)
}

// While one flush is held up, all that arrives gathers into the next ones,
// and each caller gets its own result.
func TestItemsGatherWhileAFlushIsInFlight(t *testing.T) {
	const items, size = 25, 10
	var sizes []int
	entered, gate := make(chan struct{}, items), make(chan struct{})
	g := groupcommit.New(groupcommit.Config[int]{Items: size, Lanes: 1, MaxLanes: 1}, func(in []int, answer func([]int, error)) {
		sizes = append(sizes, len(in)) // one lane: no race
		entered <- struct{}{}
		<-gate
		out := make([]int, len(in))
		for i, v := range in {
			out[i] = -v
		}
		answer(out, nil)
	})

	var first sync.WaitGroup
	first.Go(func() { _, _ = g.Do(context.Background(), 0) })
	<-entered

	var rest sync.WaitGroup
	for i := 1; i <= items; i++ {
		rest.Go(func() {
			out, err := g.Do(context.Background(), i)
			if err != nil || out != -i {
				t.Errorf("item %d: got %d, %v", i, out, err)
			}
		})
	}
	require.Eventually(t, func() bool { return g.Pending() == items }, waitFor, tick)
	close(gate)
	first.Wait()
	rest.Wait()
	require.Equal(t, []int{1, size, size, items - 2*size}, sizes)
}

// Beside a quick flush a second one goes with a full batch only, and what nobody
// waits for is flushed too.
func TestSecondLaneTakesFullBatchesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 10
		flushed, gate := make(chan int, 3*size), make(chan struct{})
		g := groupcommit.New(groupcommit.Config[int]{Items: size, Lanes: 2, MaxLanes: 2}, func(in []int, answer func([]int, error)) {
			flushed <- len(in)
			<-gate
			answer(nil, nil)
		})
		g.Put(0)
		require.Equal(t, 1, <-flushed)
		for i := 1; i < size; i++ {
			g.Put(i)
		}
		require.Equal(t, size-1, g.Pending())
		g.Put(size)
		require.Equal(t, size, <-flushed)
		for i := range 2 * size {
			g.Put(i)
		}
		require.Equal(t, 2*size, g.Pending(), "there is no third lane")
		close(gate)
		require.Equal(t, size, <-flushed)
		require.Equal(t, size, <-flushed)
		synctest.Wait()
		require.True(t, g.Idle())
	})
}

// A flush that waits for something of its own holds up nobody else for longer than
// a moment, however little there is to flush, up to a bound.
func TestASlowFlushHoldsUpItsOwnItemsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, flushed := make(chan struct{}), make(chan int, 10)
		g := groupcommit.New(groupcommit.Config[int]{Items: 10, Lanes: 1, MaxLanes: 3}, func(in []int, answer func([]int, error)) {
			if in[0] < 0 {
				<-stuck
			}
			flushed <- in[0]
			answer(in, nil)
		})
		start := time.Now()
		g.Put(-1)
		g.Put(1)
		require.Equal(t, 1, <-flushed)
		require.Equal(t, groupcommit.SlowAfter, time.Since(start))
		g.Put(2)
		require.Equal(t, 2, <-flushed)
		require.Equal(t, groupcommit.SlowAfter, time.Since(start), "it does not wait a second time")
		g.Put(-2)
		g.Put(-3)
		time.Sleep(time.Minute)
		g.Put(3)
		time.Sleep(time.Minute)
		require.Equal(t, 1, g.Pending(), "there are three lanes, and all are stuck")
		close(stuck)
		synctest.Wait()
		require.True(t, g.Idle())
	})
}

// Neither a flush nor what waits for one is larger than so many bytes.
func TestBatchesAreBoundedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sizes, gate := make(chan []int, 10), make(chan struct{})
		g := groupcommit.New(groupcommit.Config[int]{
			Items: 100, Bytes: 10, Lanes: 1, MaxLanes: 1, Waiting: 30, Size: func(n int) int { return n },
		}, func(in []int, answer func([]int, error)) {
			sizes <- in
			<-gate
			answer(in, nil)
		})
		do := func(n int) {
			out, err := g.Do(context.Background(), n)
			if err != nil || out != n {
				t.Errorf("item of %d bytes: %d, %v", n, out, err)
			}
		}
		for _, n := range []int{1, 4, 5, 3, 15} {
			go do(n)
			synctest.Wait()
		}
		_, err := g.Do(t.Context(), 4)
		require.ErrorIs(t, err, groupcommit.ErrFull)
		close(gate)
		require.Equal(t, []int{1}, <-sizes)
		require.Equal(t, []int{4, 5}, <-sizes)
		require.Equal(t, []int{3}, <-sizes)
		require.Equal(t, []int{15}, <-sizes, "one that is too large goes alone")
		synctest.Wait()
		require.True(t, g.Idle())
	})
}

// What is left to do for a batch after its flush holds up nobody but those who
// wait for it.
func TestNextFlushDoesNotWaitForTheAnswer(t *testing.T) {
	answers := make(chan func())
	g := groupcommit.New(groupcommit.Config[int]{Items: 10, Lanes: 1, MaxLanes: 1}, func(in []int, answer func([]int, error)) {
		answers <- func() { answer(in, nil) }
	})
	outs := make(chan int, 2)
	do := func(in int) {
		out, err := g.Do(context.Background(), in)
		if err != nil {
			t.Errorf("item %d: %v", in, err)
		}
		outs <- out
	}
	go do(1)
	first := <-answers
	go do(2)
	second := <-answers
	require.Empty(t, outs)
	second()
	require.Equal(t, 2, <-outs)
	first()
	require.Equal(t, 1, <-outs)
}

func TestErrorReachesEveryItemOfItsBatch(t *testing.T) {
	boom := errors.New("boom")
	g := groupcommit.New(groupcommit.Config[int]{Items: 10, Lanes: 2, MaxLanes: 2}, func(_ []int, answer func([]int, error)) { answer(nil, boom) })
	for range 3 {
		_, err := g.Do(t.Context(), 1)
		require.ErrorIs(t, err, boom)
	}
}

func TestGivingUp(t *testing.T) {
	entered, gate := make(chan struct{}), make(chan struct{})
	var flushed []int
	g := groupcommit.New(groupcommit.Config[int]{Items: 10, Lanes: 1, MaxLanes: 1}, func(in []int, answer func([]int, error)) {
		flushed = append(flushed, in...)
		entered <- struct{}{}
		<-gate
		answer(in, nil)
	})
	ctx, cancel := context.WithCancel(context.Background())

	var inFlight, queued error
	var wg sync.WaitGroup
	wg.Go(func() { _, inFlight = g.Do(ctx, 1) })
	<-entered
	wg.Go(func() { _, queued = g.Do(ctx, 2) })
	require.Eventually(t, func() bool { return g.Pending() == 1 }, waitFor, tick)
	cancel()
	wg.Wait()
	close(gate)

	require.ErrorIs(t, inFlight, context.Canceled)
	require.NotErrorIs(t, inFlight, groupcommit.ErrNotSent, "a flush carries it: the outcome is not known")
	require.ErrorIs(t, queued, groupcommit.ErrNotSent)
	require.Eventually(t, g.Idle, waitFor, tick)
	require.Equal(t, []int{1}, flushed, "what was taken back must never be flushed")
}
