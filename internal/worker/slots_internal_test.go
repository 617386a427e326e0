package worker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"pgregory.net/rapid"

	"github.com/timewheel/timewheel/internal/task"
)

func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(1, 20).Draw(t, "total")
		s, reserved, used := newSlots(total), 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				if reserved+used == total {
					t.Skip("none is free")
				}
				limit := rapid.IntRange(1, 30).Draw(t, "limit")
				n := s.reserve(context.Background(), limit)
				if free := total - reserved - used; n != min(limit, free) {
					t.Fatalf("took %d of %d free ones, limit %d", n, free, limit)
				}
				reserved += n
			},
			"settle": func(t *rapid.T) {
				n := rapid.IntRange(0, reserved).Draw(t, "n")
				tasks := rapid.IntRange(0, n).Draw(t, "tasks")
				s.settle(n, tasks)
				reserved, used = reserved-n, used+tasks
			},
			"give": func(t *rapid.T) {
				n := rapid.IntRange(0, used).Draw(t, "n")
				s.release(n)
				used -= n
			},
			"": func(t *rapid.T) {
				if s.used() != used {
					t.Fatalf("%d have a task, want %d", s.used(), used)
				}
			},
		})
	})
}

func TestSlotsTakeGivesUpWithItsContext(t *testing.T) {
	s := newSlots(1)
	require.Equal(t, 1, s.reserve(t.Context(), 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Zero(t, s.reserve(ctx, 1))
}

// Two waiters and one signal: the one who leaves some over wakes the other.
func TestSlotsWakeEveryWaiterThatCanBeServed(t *testing.T) {
	s := newSlots(2)
	require.Equal(t, 2, s.reserve(t.Context(), 2))
	got := make(chan int)
	for range 2 {
		go func() { got <- s.reserve(context.Background(), 1) }()
	}
	s.release(2)
	require.Equal(t, 1, <-got)
	require.Equal(t, 1, <-got)
}

func TestReceiptsThatWereNotRemovedAreTakenAgain(t *testing.T) {
	var r receipts
	require.True(t, r.takeClosed().Empty())
	r.close(1, false)
	r.close(2, false)
	r.close(7, true)
	closed := r.takeClosed()
	require.Equal(t, task.Closed{Once: []int64{1, 2}, Retried: []int64{7}}, closed)
	require.True(t, r.takeClosed().Empty())
	r.close(3, false)
	r.putBack(closed)
	all := r.takeClosed()
	require.ElementsMatch(t, []int64{1, 2, 3}, all.Once)
	require.Equal(t, []int64{7}, all.Retried)
}
