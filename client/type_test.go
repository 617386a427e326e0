package client_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

func TestTheLifeOfAType(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	_, err := c.Create(ctx, client.NewTask{Type: "billing.send", ExecutionTime: time.Now()})
	require.Equal(t, http.StatusUnprocessableEntity, problem(t, err).Status)

	secret := client.Secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	put, err := c.PutType(ctx, client.Type{
		Name: "billing.send", Handler: "webhook", Webhook: &client.Webhook{URL: "https://billing.example/", Secret: &secret},
		Timeout: "30s", MaxAttempts: 3, Retry: &client.Retry{Delay: "5s"}, MaxRunning: 7, Rate: &client.Rate{PerSecond: 0.5},
	})
	require.NoError(t, err)
	require.Nil(t, put.Webhook.Secret)
	require.Equal(t, &client.Retry{Delay: "5s", Factor: 2, MaxDelay: "1h"}, put.Retry)
	require.NotContains(t, fmt.Sprintf("%v %#v", secret, secret), "MDEy")
	found, err := c.GetType(ctx, "billing.send")
	require.NoError(t, err)
	require.Equal(t, put, found)
	all, err := c.Types(ctx)
	require.NoError(t, err)
	require.Len(t, all, 5)

	id, err := c.Create(ctx, client.NewTask{Type: "billing.send", ExecutionTime: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	created, err := c.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, 3, created.MaxAttempts, "which is the type's")
	require.Equal(t, "type_in_use", problem(t, c.DeleteType(ctx, "billing.send")).Code)
	require.NoError(t, c.Delete(ctx, id))
	require.NoError(t, c.DeleteType(ctx, "billing.send"))
	require.Equal(t, "no_such_type", problem(t, c.DeleteType(ctx, "billing.send")).Code)
	require.Equal(t, "type_ships", problem(t, c.DeleteType(ctx, "foo")).Code)
	for _, name := range []string{"a/b", "a%2Fb", "A", "ä"} {
		_, err = c.PutType(ctx, client.Type{Name: name, Handler: "lease"})
		require.Contains(t, []int{404, 422}, problem(t, err).Status, name)
	}
}
