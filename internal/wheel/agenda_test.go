package wheel_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
)

// settled says that foo is to be looked at after a wait.
func settled(mark int64, wait time.Duration) []task.Entry {
	return []task.Entry{{Type: "foo", Mark: mark, Wait: wait}}
}

// next asks in the name of a worker that has a load.
func (f *fixture) next(t *testing.T, ask task.Ask) task.Agenda {
	t.Helper()
	if ask.Group == "" {
		ask.Group = "all"
	}
	agenda, err := f.Next(t.Context(), ask)
	require.NoError(t, err)
	return agenda
}

// due makes one task of a type due at a time.
func (f *fixture) due(t *testing.T, taskType string, at time.Time) {
	t.Helper()
	require.NoError(t, f.Index(t.Context(), []task.Due{{ID: uuid.New(), Type: taskType, At: at}}))
}

func names(agenda task.Agenda) (all []string) {
	for _, e := range agenda.Entries {
		all = append(all, e.Type)
	}
	return all
}

// The agenda names what is due, and of the rest only what comes next.
func TestTheAgendaNamesWhatIsDueAndWhatComesNext(t *testing.T) {
	t.Parallel()
	f := open(t)
	now := f.now(t)
	require.Empty(t, f.next(t, task.Ask{Worker: alice}).Entries)
	f.due(t, "late", now.Add(-time.Second))
	f.due(t, "later", now.Add(-time.Hour))
	f.due(t, "soon", now.Add(time.Hour))
	f.due(t, "soon", now.Add(2*time.Hour))
	f.due(t, "far", now.Add(3*time.Hour))
	agenda := f.next(t, task.Ask{Worker: alice})
	require.Equal(t, []string{"later", "late", "soon"}, names(agenda))
	require.Zero(t, agenda.Entries[0].Wait)
	require.EqualValues(t, 2, agenda.Entries[2].Mark)
	require.InDelta(t, time.Hour, agenda.Entries[2].Wait, float64(patience))
	// Who serves some types is told of those alone.
	require.Equal(t, []string{"far", "late"}, names(f.next(t, task.Ask{Worker: alice, Group: "g", Types: []string{"far", "none", "late"}})))
}

// Whoever has emptied a ring says so, and what was indexed meanwhile is not forgotten:
// neither what is due before that nor what comes after it.
func TestWhatIsMarkedMeanwhileIsNotSettled(t *testing.T) {
	t.Parallel()
	f := open(t)
	now := f.now(t)
	f.due(t, "foo", now.Add(-time.Second))
	mark := f.next(t, task.Ask{Worker: alice}).Entries[0].Mark
	require.Empty(t, f.next(t, task.Ask{Worker: alice, Settled: settled(mark, -1)}).Entries)

	for _, at := range []time.Duration{-time.Second, time.Hour} {
		f.due(t, "foo", now.Add(-time.Minute))
		mark = f.next(t, task.Ask{Worker: alice}).Entries[0].Mark
		f.due(t, "foo", now.Add(at)) // after the look of which the worker tells
		agenda := f.next(t, task.Ask{Worker: alice, Settled: settled(mark, -1)})
		require.Equal(t, []string{"foo"}, names(agenda))
		require.Equal(t, mark+1, agenda.Entries[0].Mark)
		agenda = f.next(t, task.Ask{Worker: alice, Settled: settled(mark, time.Second)})
		require.Zero(t, agenda.Entries[0].Wait, "it stays at the earlier time")
		f.next(t, task.Ask{Worker: alice, Settled: settled(mark+1, -1)})
	}
	agenda := f.next(t, task.Ask{Worker: alice, Settled: settled(4, time.Hour)})
	require.Zero(t, len(agenda.Entries)-1)
}

// listen returns a function that gives the next message of the workers' channel.
func (f *fixture) listen(t *testing.T) func() []string {
	t.Helper()
	channel := f.redis.Subscribe(t.Context(), wakeKey)
	t.Cleanup(func() { require.NoError(t, channel.Close()) })
	_, err := channel.Receive(t.Context())
	require.NoError(t, err)
	return func() []string {
		require.NoError(t, f.redis.Publish(t.Context(), wakeKey, "end").Err())
		message, err := channel.ReceiveMessage(t.Context())
		require.NoError(t, err)
		if message.Payload == "end" {
			return nil
		}
		end, err := channel.ReceiveMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "end", end.Payload, "one message at a time")
		return strings.Fields(message.Payload)
	}
}

// hold lets no watch end by itself, which a busy machine may make of two lines of a test.
func (f *fixture) hold(t *testing.T) {
	t.Helper()
	for group, watch := range f.redis.HGetAll(t.Context(), watchKey).Val() {
		parts := strings.Split(watch, " ")
		parts[min(2, len(parts)-1)] = "9000000000000000"
		require.NoError(t, f.redis.HSet(t.Context(), watchKey, group, strings.Join(parts, " ")).Err())
	}
}

// Of each group one worker watches, and is named when something comes before all that was
// known of its type. What it leaves is for the others.
func TestOneWorkerOfAGroupWatches(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL()) // channels are those of all databases of a server
	heard := f.listen(t)
	now := f.now(t)
	ask := func(worker uuid.UUID, ask task.Ask) bool {
		ask.Worker = worker
		watching := f.next(t, ask).Watching
		f.hold(t)
		return watching
	}
	f.due(t, "foo", now.Add(time.Hour))
	require.Len(t, heard(), 3, "nobody watches")
	require.True(t, ask(alice, task.Ask{}))
	require.False(t, ask(bob, task.Ask{}))
	require.True(t, ask(bob, task.Ask{Group: "some", Types: []string{"bar"}}))

	f.due(t, "foo", now.Add(time.Hour))
	require.Nil(t, heard(), "it is no earlier")
	f.due(t, "foo", now.Add(time.Minute))
	message := heard()
	require.Equal(t, "foo", message[0])
	require.ElementsMatch(t, []string{"all", alice.String(), "some", bob.String()}, message[3:])
	f.due(t, "bar", now.Add(time.Hour))
	require.Equal(t, "bar", heard()[0], "it is the first of its type")

	f.due(t, "foo", now.Add(-time.Second))
	require.NotNil(t, heard())
	require.True(t, ask(alice, task.Ask{Left: []string{"foo"}}))
	message = heard()
	require.NotContains(t, message, alice.String(), "the others are called")
	require.Contains(t, message, bob.String())
	require.True(t, ask(alice, task.Ask{Left: []string{"foo"}}))
	require.Nil(t, heard(), "they know")

	// A worker with much less in hand takes the watch over, and one that leaves calls all.
	require.True(t, ask(alice, task.Ask{Load: 15}))
	require.False(t, ask(bob, task.Ask{Load: 6}))
	require.True(t, ask(bob, task.Ask{Load: 5}))
	require.False(t, ask(alice, task.Ask{Load: 14}))
	require.NoError(t, f.Leave(t.Context(), alice, "all"))
	require.Nil(t, heard(), "it did not watch")
	require.NoError(t, f.Leave(t.Context(), bob, "all"))
	require.Equal(t, []string{}, heard())
	require.True(t, ask(alice, task.Ask{Load: 100}))
}

// Beside the one that watches one stands by, until it leaves, watches, or does not come back.
func TestOneStandsBy(t *testing.T) {
	t.Parallel()
	f := open(t)
	ask := func(worker uuid.UUID, load int) task.Agenda {
		agenda := f.next(t, task.Ask{Worker: worker, Load: load})
		f.hold(t)
		return agenda
	}
	carol := uuid.New()
	require.True(t, ask(alice, 20).Watching)
	require.True(t, ask(bob, 20).StandingBy)
	require.False(t, ask(carol, 20).StandingBy)
	require.True(t, ask(bob, 20).StandingBy, "it still does")
	require.True(t, ask(bob, 0).Watching)
	require.True(t, ask(carol, 20).StandingBy, "the other watches now")
	require.False(t, ask(alice, 20).StandingBy)
	require.NoError(t, f.Leave(t.Context(), carol, "all"))
	require.True(t, f.next(t, task.Ask{Worker: alice, Load: 20}).StandingBy)
	require.Eventually(t, func() bool { return f.next(t, task.Ask{Worker: carol, Load: 20}).StandingBy }, patience, 10*time.Millisecond)
}

// A watcher that does not come back is replaced soon.
func TestAWatchEndsByItself(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.True(t, f.next(t, task.Ask{Worker: alice}).Watching)
	require.Eventually(t, func() bool { return f.next(t, task.Ask{Worker: bob}).Watching }, patience, 10*time.Millisecond)
}

// A worker hears of what is due before all else if it watches, is told to ask if nobody
// does, and once after every connection, since nobody knows what it missed before.
func TestWakeHearsWhatConcernsTheWorker(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	ctx, cancel := context.WithCancel(t.Context())
	calls, changes, cancels := make(chan task.Entry, 100), make(chan struct{}, 1), make(chan string, 1)
	var listener sync.WaitGroup
	listener.Go(func() {
		f.Wake(ctx, alice, "all", func(e task.Entry) { calls <- e }, func() { changes <- struct{}{} }, func(session string) { cancels <- session })
	})
	defer listener.Wait()
	defer cancel()
	await := func(why string) task.Entry {
		t.Helper()
		select {
		case e := <-calls:
			return e
		case <-time.After(patience):
			t.Fatal("not woken by " + why)
		}
		return task.Entry{}
	}
	require.Zero(t, await("the first connection"))

	at := f.now(t).Add(time.Hour)
	f.due(t, "foo", at)
	require.Zero(t, await("what nobody watches for"))
	require.True(t, f.next(t, task.Ask{Worker: alice}).Watching)
	f.hold(t)
	f.due(t, "foo", at.Add(-time.Minute))
	heard := await("an earlier one")
	require.Equal(t, "foo", heard.Type)
	require.InDelta(t, 59*time.Minute, heard.Wait, float64(patience))
	require.EqualValues(t, 2, heard.Mark)

	require.NoError(t, f.redis.HSet(t.Context(), watchKey, "all", bob.String()+" 0 9000000000000000 ").Err())
	f.due(t, "foo", at.Add(-2*time.Minute)) // which is another worker's
	require.NoError(t, f.redis.Publish(t.Context(), wakeKey, "").Err())
	require.Zero(t, await("a call to all"))
	require.NoError(t, f.TypesChanged(t.Context()))
	<-changes
	require.NoError(t, f.CancelRequested(t.Context(), bob))
	require.Equal(t, bob.String(), <-cancels)

	require.NoError(t, server.Restart(t.Context()))
	require.Zero(t, await("the connection after a restart"))
}

// Whoever read the agenda by hand may have written it too. Nothing in it stops a worker.
func TestAHandEditedAgenda(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.due(t, "foo", f.now(t).Add(-time.Second))
	require.NoError(t, f.redis.HSet(t.Context(), watchKey, "all", "me", "other", "a b c d").Err())
	require.NoError(t, f.redis.HSet(t.Context(), marksKey, "foo", "7").Err())
	require.NoError(t, f.redis.ZAdd(t.Context(), agendaKey, redis.Z{Score: 9e18, Member: "x y"}).Err())
	agenda := f.next(t, task.Ask{Worker: alice})
	require.True(t, agenda.Watching)
	require.Equal(t, []string{"foo", "x y"}, names(agenda))
	f.due(t, "foo", time.UnixMicro(0))
}

// A repair wakes for what was missing, and for a type that the agenda has forgotten. What
// is there and waits, for a limit or a claim, is no reason to look.
func TestARepairMarksWhatWasMissing(t *testing.T) {
	t.Parallel()
	f := open(t)
	past := f.now(t).Add(-time.Minute)
	there := f.index(t, 1, past)
	later := settled(1, 4*time.Second)
	wait := func() time.Duration { return f.next(t, task.Ask{Worker: alice, Settled: later}).Entries[0].Wait }
	require.Positive(t, wait())
	repair := func(id uuid.UUID) {
		_, err := f.Repair(t.Context(), []task.Due{{ID: id, Type: "foo", At: past}})
		require.NoError(t, err)
	}
	entry := func() time.Duration { return f.next(t, task.Ask{Worker: alice}).Entries[0].Wait }
	repair(there[0])
	require.Positive(t, entry())
	repair(uuid.New())
	require.Zero(t, entry())
	require.NoError(t, f.redis.Del(t.Context(), agendaKey).Err())
	repair(there[0])
	require.Zero(t, entry())
}
