//go:build chaos

package failpoint

import (
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestPlan(t *testing.T) {
	p, err := parse("claimed=kill:@3,handling=hang:2s:0.5\n")
	require.NoError(t, err)
	for hit := 1; hit <= 5; hit++ {
		r, fires := p.hit(Claimed)
		require.Equal(t, hit == 3, fires, "hit %d", hit)
		require.Equal(t, "kill", r.action)
	}
	require.Equal(t, 2*time.Second, p[Handling].hang)
	fired := 0
	for range 1000 {
		if _, fires := p.hit(Handling); fires {
			fired++
		}
	}
	require.InDelta(t, 500, fired, 150)
	_, fires := p.hit(Ran)
	require.False(t, fires)
}

func TestBadPlans(t *testing.T) {
	for _, text := range []string{
		"claimed", "nowhere=kill:1", "claimed=die:1", "claimed=kill", "claimed=kill:0", "claimed=kill:1.5",
		"claimed=kill:@-1", "claimed=hang:1", "claimed=hang:soon:1", "claimed=kill:1s:1",
	} {
		_, err := parse(text)
		require.Error(t, err, text)
	}
}

func TestHitFollowsThePlanAndIsRecorded(t *testing.T) {
	log := t.TempDir() + "/log"
	t.Setenv("FAILPOINTS_LOG", log)
	journal = openJournal()
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	p, err := parse("ran=goexit:@1,handling=panic:@1")
	require.NoError(t, err)
	current.Store(&p)

	require.Panics(t, func() { Hit(Handling) })
	returned := make(chan bool, 1)
	go func() {
		defer close(returned)
		Hit(Ran)
		returned <- true
	}()
	require.False(t, <-returned, "the goroutine must have ended")

	text, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Regexp(t, `^handling panic \d+\nran goexit \d+\n$`, string(text))
}

func TestKeep(t *testing.T) {
	before := keep
	t.Cleanup(func() { keep = before })
	keep = 0
	require.Equal(t, time.Hour, Keep(time.Hour))
	keep = time.Second
	require.Equal(t, time.Second, Keep(time.Hour))
}

func TestSkew(t *testing.T) {
	id := uuid.Must(uuid.NewV7())
	before := skew
	t.Cleanup(func() { skew = before })
	skew = -time.Hour
	moved := Skew(id)
	require.Equal(t, uuid.Version(7), moved.Version())
	s1, n1 := id.Time().UnixTime()
	s2, n2 := moved.Time().UnixTime()
	require.Equal(t, time.Hour, time.Unix(s1, n1).Sub(time.Unix(s2, n2)))
	require.Equal(t, id[6:], moved[6:])
}
