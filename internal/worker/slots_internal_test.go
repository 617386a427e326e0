package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pgregory.net/rapid"

	"github.com/timewheel/timewheel/internal/task"
)

func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.IntRange(1, 200).Draw(t, "all")
		own := map[string]int{}
		if rapid.Bool().Draw(t, "own") {
			own["own"] = rapid.IntRange(1, all).Draw(t, "slots")
		}
		s, used, shared := newSlots(all, own), map[string]int{}, 0
		types := rapid.SampledFrom([]string{"own", "a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				name, limit := types.Draw(t, "type"), rapid.IntRange(1, 300).Draw(t, "limit")
				before, free := used[name], all-own["own"]-shared
				n := s.take(name, limit)
				used[name] += n
				slots, apart := own[name]
				if !apart {
					shared += n
				}
				switch {
				case n > limit:
					t.Fatalf("took %d, limit %d", n, limit)
				case n == 0 && before == 0:
					t.Fatal("a type with nothing in hand gets none")
				case n == 1 && before == 0:
				case apart && used[name] > slots:
					t.Fatalf("%d are in use of %d", used[name], slots)
				case !apart && n > 0 && used[name]-1 >= hold*(free-n+1):
					t.Fatalf("%d are in use and %d free", used[name], free-n)
				}
			},
			"give": func(t *rapid.T) {
				name := types.Draw(t, "type")
				n := rapid.IntRange(0, used[name]).Draw(t, "n")
				s.give(name, n)
				used[name] -= n
				if _, apart := own[name]; !apart {
					shared -= n
				}
			},
			"": func(t *rapid.T) {
				if sum := used["own"] + used["a"] + used["b"] + used["c"]; s.inUse() != sum {
					t.Fatalf("%d have a task, want %d", s.inUse(), sum)
				}
			},
		})
	})
}

// A type that takes all it can leaves a tenth for others, and the next type a tenth of
// that. None of them keeps another from having one.
func TestATypeThatTakesAllLeavesSomeForOthers(t *testing.T) {
	s := newSlots(100, map[string]int{"own": 20})
	require.Equal(t, 20, s.take("own", 1000))
	require.Zero(t, s.take("own", 1))
	require.Equal(t, 72, s.take("a", 1000))
	require.Zero(t, s.take("a", 1))
	require.Equal(t, 8, s.take("b", 1000))
	for _, name := range []string{"c", "d", "e"} { // beyond what there is
		require.Equal(t, 1, s.take(name, 1000))
		require.Zero(t, s.take(name, 1))
	}
	s.give("a", 72)
	require.Equal(t, 63, s.take("f", 1000))
	<-s.freed
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

// A type that has no slot here is for others, also after a claim of another type.
func TestRedisIsToldWhatIsForOthers(t *testing.T) {
	var a agenda
	require.False(t, a.news())
	a.left = []string{"foo"}
	require.True(t, a.news())
	a.told = a.forOthers()
	require.False(t, a.news())
	a.left, a.full = nil, []string{"foo"}
	require.False(t, a.news())
	require.Equal(t, []string{"foo"}, a.forOthers())
	a.left = []string{"bar", "foo"}
	require.True(t, a.news())
	require.Equal(t, []string{"bar", "foo"}, a.forOthers())
}
