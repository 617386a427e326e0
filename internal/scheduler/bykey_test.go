package scheduler_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
)

func keyed(key string, in time.Duration) task.Draft {
	d := draft(in)
	d.Key = key
	return d
}

func always(*task.Task) error { return nil }

func TestPutByKeyIsIndexedAtItsTimeAndInItsRing(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	first, created, err := s.PutByKey(t.Context(), keyed("k", soon), always)
	require.NoError(t, err)
	require.True(t, created)
	f.requireIndexed(t, []string{first.ID.String()})
	_, created, err = s.PutByKey(t.Context(), keyed("k", horizon+scheduler.Margin+time.Minute), always)
	require.NoError(t, err)
	require.False(t, created)
	f.requireIndexed(t, nil)
	_, _, err = s.PutByKey(t.Context(), keyed("k", -time.Second), always)
	require.NoError(t, err)
	f.requireIndexed(t, []string{first.ID.String()})

	other := keyed("k", -time.Second)
	other.Type = "baz"
	replaced, _, err := s.PutByKey(t.Context(), other, always)
	require.NoError(t, err)
	require.Equal(t, first.ID, replaced.ID)
	f.requireIndexed(t, nil)
	in, err := f.redis.ZRange(t.Context(), "timewheel:{baz}:due", 0, -1).Result()
	require.NoError(t, err)
	require.Equal(t, []string{first.ID.String()}, in)
}

func TestPutByKeyIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	_, _, err := s.PutByKey(t.Context(), keyed("k", -time.Second), func(open *task.Task) error {
		assert.Nil(t, open)
		return assert.AnError
	})
	require.ErrorIs(t, err, assert.AnError)
	put, _, err := s.PutByKey(t.Context(), keyed("k", -time.Second), always)
	require.NoError(t, err)
	f.session(t, put.ID)
	_, _, err = s.PutByKey(t.Context(), keyed("k", -time.Second), always)
	var refused *task.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, task.Started, refused.Status)
	_, err = s.DeleteByKey(t.Context(), "k")
	require.ErrorAs(t, err, &refused)
	_, err = s.DeleteByKey(t.Context(), "nobody")
	require.ErrorIs(t, err, task.ErrNotFound)

	other, _, err := s.PutByKey(t.Context(), keyed("other", soon), always)
	require.NoError(t, err)
	for range 2 {
		id, err := s.DeleteByKey(t.Context(), "other")
		require.NoError(t, err)
		require.Equal(t, other.ID, id)
	}
	f.requireIndexed(t, []string{put.ID.String()})
}

// Whoever puts at once leaves one task, and all are answered.
func TestConcurrentPutsOfOneKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	const putters, each = 8, 10
	var all errgroup.Group
	for range putters {
		s := f.scheduler()
		all.Go(func() error {
			for range each {
				if _, _, err := s.PutByKey(t.Context(), keyed("k", soon), always); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	require.Equal(t, 1, f.count(t, "idempotency_key = 'k'"))
	require.Equal(t, 1, f.count(t, fmt.Sprintf("changes = %d", putters*each-1)), "none was lost")
}

// Either the put is refused, or what it says is what runs.
func TestPutsRacedWithTheStart(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	session := uuid.New()
	require.NoError(t, f.db.Register(t.Context(), session, "host", never))
	refusals := 0
	for i := range 60 {
		key := fmt.Sprint("k", i)
		first, _, err := s.PutByKey(t.Context(), keyed(key, -time.Second), always)
		require.NoError(t, err)
		var started []task.Task
		var racing errgroup.Group
		racing.Go(func() (err error) {
			started, _, err = f.db.Start(t.Context(), session, int64(i+1), []string{"foo"}, []task.ID{first.ID})
			return err
		})
		next := keyed(key, -time.Second)
		next.Payload = json.RawMessage(`{"new":true}`)
		_, created, err := s.PutByKey(t.Context(), next, always)
		require.NoError(t, racing.Wait())
		require.Len(t, started, 1)
		require.False(t, created)
		if refused, is := errors.AsType[*task.StatusError](err); is {
			refusals++
			require.Equal(t, task.Started, refused.Status)
			require.Nil(t, started[0].Payload, "what was refused does not run")
		} else {
			require.NoError(t, err)
			require.JSONEq(t, `{"new":true}`, string(started[0].Payload))
		}
	}
	t.Log("refused", refusals, "of 60")
}
