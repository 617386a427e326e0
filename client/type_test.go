package client_test

import (
	"encoding/json"
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

func TestPayloadsFitTheSchemaOfTheirType(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	declare := func(schema string) error {
		_, err := c.PutType(ctx, client.Type{Name: "invoice", Handler: "lease", PayloadSchema: json.RawMessage(schema)})
		return err
	}
	create := func(payload string) error {
		_, err := c.Create(ctx, client.NewTask{Type: "invoice", ExecutionTime: time.Now().Add(time.Hour), Payload: json.RawMessage(payload)})
		return err
	}
	require.NoError(t, declare(`{"required": ["n"], "properties": {"n": {"type": "integer"}}}`))
	require.NoError(t, create(`{"n": 1}`))
	p := problem(t, create(`{"n": "secret"}`))
	require.Equal(t, http.StatusUnprocessableEntity, p.Status)
	require.Equal(t, []client.FieldError{{Field: "payload.n", Message: "must be integer, not string"}}, p.Errors)
	require.NoError(t, declare(`{"properties": {"n": {"type": "string"}}}`))
	require.NoError(t, create(`{"n": "x"}`), "it is another schema now")
	p = problem(t, declare(`{"properties": {"n": {"type": "thing"}}}`))
	require.Equal(t, "payload_schema/properties/n/type", p.Errors[0].Field)
	require.Error(t, declare(`{"multipleOf": 1e-100000000}`))
}
