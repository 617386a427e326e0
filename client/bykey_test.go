package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

func TestTasksByKey(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	for _, key := range []string{"order-42", "a/b//c", "../..", "a%2Fb", "?#&+:*"} {
		wanted := client.NewTask{Type: "foo", ExecutionTime: time.Now().Add(time.Hour), Key: key}
		first, err := c.PutByKey(ctx, wanted, "")
		require.NoError(t, err, key)
		wanted.ExecutionTime = wanted.ExecutionTime.Add(time.Hour)
		second, err := c.PutByKey(ctx, wanted, first.ETag)
		require.NoError(t, err)
		require.Equal(t, first.ID, second.ID)
		_, err = c.PutByKey(ctx, wanted, first.ETag)
		require.Equal(t, http.StatusPreconditionFailed, problem(t, err).Status)
		found, err := c.GetByKey(ctx, key)
		require.NoError(t, err)
		require.Equal(t, second, found)
		id, err := c.DeleteByKey(ctx, key)
		require.NoError(t, err)
		require.Equal(t, first.ID, id)
		third, err := c.PutByKey(ctx, wanted, "")
		require.NoError(t, err)
		require.NotEqual(t, first.ID, third.ID)
	}
	_, err := c.PutByKey(ctx, client.NewTask{Type: "foo", ExecutionTime: time.Now(), Key: "schedule/x"}, "")
	require.Equal(t, http.StatusUnprocessableEntity, problem(t, err).Status)
	_, err = c.GetByKey(ctx, "nobody")
	require.Equal(t, http.StatusNotFound, problem(t, err).Status)
}
