package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

// No worker runs here, so what is asked for waits.
func TestTheLifeOfAnOperation(t *testing.T) {
	c := serve(t)
	ctx, at := t.Context(), time.Now().Add(time.Hour)
	wanted := client.NewOperation{
		Action: client.ActionReschedule, Shift: "-59m", Key: "k", DryRun: true,
		Filter: client.Filter{
			Status: client.Submitted, Type: "foo", Labels: map[string]string{"b": "x:y", "a": "1"}, DueAfter: &at, CreatedBefore: &at,
		},
	}
	made, err := c.Operate(ctx, wanted)
	require.NoError(t, err)
	require.Equal(t, "waiting", made.State)
	require.False(t, made.Ended())
	require.Nil(t, made.Left)
	require.True(t, made.DryRun)
	again, err := c.Operate(ctx, wanted)
	require.NoError(t, err)
	require.Equal(t, made, again)
	wanted.Shift = "1m"
	_, err = c.Operate(ctx, wanted)
	require.Equal(t, "idempotency_key_reused", problem(t, err).Code)
	_, err = c.Operate(ctx, client.NewOperation{Action: client.ActionDelete})
	require.Equal(t, http.StatusUnprocessableEntity, problem(t, err).Status)
	all, err := c.Operate(ctx, client.NewOperation{Action: client.ActionDelete, All: true})
	require.NoError(t, err)

	found, err := c.GetOperation(ctx, made.ID)
	require.NoError(t, err)
	require.Equal(t, made, found)
	list, more, err := c.Operations(ctx, uuid.Nil)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []client.Operation{*all, *made}, list)
	list, _, err = c.Operations(ctx, all.ID)
	require.NoError(t, err)
	require.Equal(t, []client.Operation{*made}, list)
	for range 2 {
		stopped, err := c.StopOperation(ctx, made.ID)
		require.NoError(t, err)
		require.Equal(t, "stopped", stopped.State)
		require.True(t, stopped.Ended())
	}
	_, err = c.StopOperation(ctx, uuid.New())
	require.Equal(t, "no_such_operation", problem(t, err).Code)
	_, err = c.GetOperation(ctx, uuid.New())
	require.Equal(t, http.StatusNotFound, problem(t, err).Status)
}
