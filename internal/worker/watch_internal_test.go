package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// unchanged are types that nobody changes.
type unchanged struct{ Types }

func (unchanged) Changed() <-chan struct{} { return nil }

// Something falls due after the loop has looked at what is due, and before it waits. It is
// not left until Redis is asked again.
func TestWhatFallsDueBeforeTheWaitEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &claimer{Worker: &Worker{types: unchanged{}}, agenda: agenda{types: map[string]entry{}, watching: true}, inbox: newInbox()}
		looked := time.Now()
		c.agenda.askAt = looked.Add(watchRecheck)
		c.agenda.note(task.Entry{Type: "test", Wait: time.Microsecond}, looked)
		time.Sleep(2 * time.Microsecond)
		began := time.Now()
		c.askOrSleep(t.Context(), looked)
		if waited := time.Since(began); waited > 0 { // by the clock of the bubble
			t.Errorf("it waited for %s", waited)
		}
	})
}
