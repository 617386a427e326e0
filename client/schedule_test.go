package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

func TestTheLifeOfASchedule(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	_, err := c.GetSchedule(ctx, "report")
	require.Equal(t, http.StatusNotFound, problem(t, err).Status)
	starts := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	ends := starts.Add(3 * time.Minute)
	given := client.Schedule{
		Name: "report", Every: "90s", StartsAt: &starts, EndsAt: &ends, CatchUp: "none",
		Task: client.ScheduledTask{Type: "foo", Payload: []byte(`{"duration":"1ms"}`), MaxAttempts: 2},
	}
	put, err := c.PutSchedule(ctx, given)
	require.NoError(t, err)
	require.Equal(t, "1m30s", put.Every)
	require.Equal(t, given.Task, put.Task)
	found, err := c.GetSchedule(ctx, "report")
	require.NoError(t, err)
	require.Equal(t, put, found)
	again, err := c.PutSchedule(ctx, *found) // what is shown can be put
	require.NoError(t, err)
	require.Equal(t, put, again)
	next, err := c.Next(ctx, "report", 5)
	require.NoError(t, err)
	require.Equal(t, []time.Time{starts, starts.Add(90 * time.Second)}, next)
	for _, n := range []int{0, -1, 10_000_000} {
		_, err = c.Next(ctx, "report", n)
		require.Equal(t, http.StatusUnprocessableEntity, problem(t, err).Status)
	}
	given.TimeZone = "Mars/Phobos"
	_, err = c.PutSchedule(ctx, given)
	require.Equal(t, http.StatusUnprocessableEntity, problem(t, err).Status)
	all, err := c.Schedules(ctx)
	require.NoError(t, err)
	require.Equal(t, []client.Schedule{*put}, all)
	require.NoError(t, c.DeleteSchedule(ctx, "report"))
	require.Equal(t, http.StatusNotFound, problem(t, c.DeleteSchedule(ctx, "report")).Status)
}
