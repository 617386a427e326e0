package postgres_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/postgres"
)

func createKey(t *testing.T, db *postgres.DB, expiresIn time.Duration, maker *access.Key) (*access.Key, error) {
	t.Helper()
	text := access.NewText()
	digest, _ := access.DigestOf(text)
	k := access.Key{ID: uuid.New(), Name: "test", Hint: access.Hint(text), Scopes: access.Admin | access.Read, Types: []string{"billing."}}
	return db.CreateKey(t.Context(), k, digest, expiresIn, maker)
}

// Whoever makes a key has to be good at that moment, and the key lives no longer.
func TestTheMakerOfAKeyIsGood(t *testing.T) {
	t.Parallel()
	f := open(t)
	forever, err := createKey(t, f.DB, 0, nil)
	require.NoError(t, err)
	require.Equal(t, uuid.Nil, forever.MadeBy)
	brief, err := createKey(t, f.DB, time.Hour, forever)
	require.NoError(t, err)
	require.Equal(t, forever.ID, brief.MadeBy)
	_, err = createKey(t, f.DB, 0, brief)
	require.ErrorIs(t, err, access.ErrBeyond)
	_, err = createKey(t, f.DB, 2*time.Hour, brief)
	require.ErrorIs(t, err, access.ErrBeyond)
	_, err = createKey(t, f.DB, time.Minute, brief)
	require.NoError(t, err)
	require.NoError(t, f.RevokeKey(t.Context(), brief.ID))
	_, err = createKey(t, f.DB, time.Minute, brief)
	require.ErrorIs(t, err, access.ErrNoSuchKey)
	require.ErrorIs(t, f.RevokeKey(t.Context(), uuid.New()), access.ErrNoSuchKey)
}

func TestTheVersionOfTheKeysTellsEachChange(t *testing.T) {
	t.Parallel()
	f := open(t)
	state, err := f.Keys(t.Context(), uuid.Nil)
	require.NoError(t, err)
	require.NotNil(t, state.Keys)
	require.Empty(t, state.Keys)
	known := state.Version
	changed := func(what string, keys int) {
		t.Helper()
		state, err := f.Keys(t.Context(), known)
		require.NoError(t, err)
		require.NotEqual(t, known, state.Version, what)
		require.Len(t, state.Keys, keys)
		known = state.Version
		state, err = f.Keys(t.Context(), known)
		require.NoError(t, err)
		require.Nil(t, state.Keys)
	}
	k, err := createKey(t, f.DB, 0, nil)
	require.NoError(t, err)
	changed("a new key", 1)
	require.NoError(t, f.NoteUse(t.Context(), []uuid.UUID{k.ID}))
	state, err = f.Keys(t.Context(), known)
	require.NoError(t, err)
	require.Nil(t, state.Keys, "the last use is no change")
	for what, statement := range map[string]string{
		"fewer scopes": `UPDATE keys SET scopes = '{read}'`,
		"other types":  `UPDATE keys SET types = '{hr.}'`,
		"an expiry":    `UPDATE keys SET expires_at = now() + interval '1 h'`,
	} {
		f.exec(t, statement)
		changed(what, 1)
	}
	require.NoError(t, f.RevokeKey(t.Context(), k.ID))
	changed("revoked", 0)
	f.exec(t, `DELETE FROM keys`)
	changed("deleted", 0)
}

func TestTheAuditIsKeptAsLongAsTheHistory(t *testing.T) {
	t.Parallel()
	f := open(t)
	status := 200
	var events []access.Event
	for i := range 7 {
		e := access.Event{ID: uuid.Must(uuid.NewV7()), KeyID: uuid.New(), KeyName: "ci", Method: "DELETE", Route: "/task/:id", Object: strconv.Itoa(i)}
		for range 2 { // a copy that is late does nothing
			require.NoError(t, f.Audit(t.Context(), e))
		}
		events = append(events, e)
	}
	events[6].Status, events[6].Object = &status, "other"
	require.NoError(t, f.AuditOutcome(t.Context(), events[6]))
	refused := 403
	late := events[6]
	late.Status = &refused
	require.NoError(t, f.AuditOutcome(t.Context(), late), "it has one")
	page, err := f.ListAudit(t.Context(), nil, 3)
	require.NoError(t, err)
	require.Len(t, page, 3)
	require.Equal(t, "other", page[0].Object)
	require.Equal(t, &status, page[0].Status)
	require.Nil(t, page[1].Status)
	rest, err := f.ListAudit(t.Context(), &access.Place{At: page[2].At, ID: page[2].ID}, 100)
	require.NoError(t, err)
	require.Len(t, rest, 4)
	require.Equal(t, "3", rest[0].Object)

	old, err := createKey(t, f.DB, 0, nil)
	require.NoError(t, err)
	require.NoError(t, f.RevokeKey(t.Context(), old.ID))
	_, err = createKey(t, f.DB, 0, nil)
	require.NoError(t, err)
	f.exec(t, `UPDATE audit SET at = at - interval '2 h' WHERE object <> 'other'`)
	f.exec(t, `UPDATE keys SET revoked_at = revoked_at - interval '2 h'`)
	n, err := f.ForgetAudit(t.Context(), time.Hour, 4)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	n, err = f.ForgetAudit(t.Context(), time.Hour, 4)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	page, err = f.ListAudit(t.Context(), nil, 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
	keys, err := f.ListKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
}
