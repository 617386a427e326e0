package client_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

func TestFindByLabels(t *testing.T) {
	c := serve(t)
	ctx, at := t.Context(), time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	var ids []uuid.UUID
	for i, labels := range []map[string]string{{"customer": "42", "url": "http://a:80/x?b=c&d"}, {"customer": "42"}, nil} {
		id, err := c.Create(ctx, client.NewTask{Type: "foo", ExecutionTime: at.Add(-time.Duration(i) * time.Minute), Labels: labels})
		require.NoError(t, err)
		ids = append(ids, id)
		found, err := c.Get(ctx, id)
		require.NoError(t, err)
		require.Equal(t, labels, found.Labels)
	}
	list := func(f client.Filter) (found []uuid.UUID) {
		t.Helper()
		f.Limit = 1
		for {
			page, err := c.List(ctx, f)
			require.NoError(t, err)
			for i := range page.Tasks {
				found = append(found, page.Tasks[i].ID)
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				return found
			}
		}
	}
	require.Equal(t, []uuid.UUID{ids[1], ids[0]}, list(client.Filter{Labels: map[string]string{"customer": "42"}}))
	require.Equal(t, []uuid.UUID{ids[0]}, list(client.Filter{Labels: map[string]string{"customer": "42", "url": "http://a:80/x?b=c&d"}}))
	require.Equal(t, []uuid.UUID{ids[2], ids[1], ids[0]}, list(client.Filter{Status: client.Submitted, Order: client.SoonestDue}))
	until := at.Add(-time.Minute)
	require.Equal(t, ids[2:], list(client.Filter{DueBefore: &until}))
	require.Equal(t, []uuid.UUID{ids[1], ids[0]}, list(client.Filter{DueAfter: &until, Order: client.NewestFirst}))
	found, err := c.Get(ctx, ids[1])
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{ids[2], ids[1]}, list(client.Filter{CreatedAfter: &found.CreatedAt}))
	require.Equal(t, ids[:1], list(client.Filter{CreatedBefore: &found.CreatedAt}))
	_, err = c.List(ctx, client.Filter{Order: client.SoonestDue})
	require.Equal(t, []client.FieldError{{Field: "status", Message: "must be submitted or started_executing with order=due: what has ended is due no more"}},
		problem(t, err).Errors)

	value := "43"
	patched, err := c.Patch(ctx, ids[0], client.Patch{Labels: map[string]*string{"customer": &value, "url": nil}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"customer": "43"}, patched.Labels)
	require.Equal(t, ids[1:2], list(client.Filter{Labels: map[string]string{"customer": "42"}}))
}

func TestStats(t *testing.T) {
	c := serve(t)
	at := time.Now().Add(30 * time.Minute)
	_, err := c.CreateAll(t.Context(), "", []client.NewTask{{Type: "foo", ExecutionTime: at}, {Type: "baz", ExecutionTime: at}})
	require.NoError(t, err)
	s, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Count{N: 1}, s.Types["foo"][client.Submitted])
	require.Equal(t, client.Count{}, s.Due.Minute)
	require.Equal(t, client.Count{N: 2}, s.Due.Hour)
	require.Nil(t, s.OldestOverdue)
	var many client.Count
	require.NoError(t, json.Unmarshal([]byte(`"10000+"`), &many))
	require.Equal(t, client.Count{N: 10_000, More: true}, many)
	require.Equal(t, "10000+", many.String())
	_, err = c.Get(t.Context(), uuid.New())
	require.Equal(t, http.StatusNotFound, problem(t, err).Status)
}
