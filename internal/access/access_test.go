package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/access"
)

func TestTextsOfKeys(t *testing.T) {
	t.Parallel()
	text := access.NewText()
	require.Regexp(t, `^tw_[a-z2-7]{52}$`, text)
	require.NotEqual(t, text, access.NewText())
	require.Equal(t, text[:8], access.Hint(text))
	digest, ok := access.DigestOf(text)
	require.True(t, ok)
	other, ok := access.DigestOf(strings.ToUpper(text[3:4]) + text[1:])
	require.False(t, ok)
	require.NotEqual(t, digest, other)
	for _, bad := range []string{"", "tw_", text + "a", text[1:], text[:54], " " + text[1:], strings.ToUpper(text)} {
		_, ok := access.DigestOf(bad)
		require.False(t, ok, bad)
	}
}

// Prefixes are plain text: no character of them stands for another one.
func TestPrefixesAreText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		prefix, name string
		reaches      bool
	}{
		{"billing.", "billing.send", true},
		{"billing.", "billing_send", false},
		{"billing_", "billing.send", false},
		{"billing_", "billing_send", true},
		{"billing_", "billing-send", false},
		{"billing.", "billing", false},
		{"billing.", "billingxsend", false},
		{"billing", "billing2", true},
		{"b", "a", false},
	} {
		k := access.Key{Types: []string{"zzz", test.prefix}}
		require.Equal(t, test.reaches, k.Reaches(test.name), test)
	}
	require.True(t, (&access.Key{}).Reaches("any"))
}

func TestCovers(t *testing.T) {
	t.Parallel()
	free := access.Key{Scopes: access.Admin}
	bound := access.Key{Scopes: access.Admin | access.Read, Types: []string{"billing."}}
	key := func(scopes access.Scopes, types ...string) *access.Key {
		return &access.Key{Scopes: scopes, Types: types}
	}
	require.True(t, free.Covers(key(access.Read|access.Lease)))
	require.True(t, bound.Covers(key(access.Read, "billing.")))
	require.True(t, bound.Covers(key(access.Admin, "billing.eu.", "billing.us.")))
	require.False(t, bound.Covers(key(access.Read)), "without types it is bound to none")
	require.False(t, bound.Covers(key(access.Read, "hr.")))
	require.False(t, bound.Covers(key(access.Read, "*")))
	require.False(t, bound.Covers(key(access.Read, "billing")))
	require.False(t, bound.Covers(key(access.Read, "billing_")))
	require.False(t, bound.Covers(key(access.Read, "billing.", "hr.")))
	require.False(t, bound.Covers(key(access.Create, "billing.")), "a scope that it lacks")
}

func TestScopes(t *testing.T) {
	t.Parallel()
	var all access.Scopes
	for _, name := range access.ScopeNames() {
		scope, known := access.ParseScope(name)
		require.True(t, known)
		require.Equal(t, []string{name}, scope.Names())
		all |= scope
	}
	require.Equal(t, access.ScopeNames(), all.Names())
	require.True(t, all.Has(access.Lease))
	require.False(t, access.Read.Has(access.Read|access.Create))
	_, known := access.ParseScope("root")
	require.False(t, known)
}

func TestNewKeys(t *testing.T) {
	t.Parallel()
	require.Empty(t, access.NewKey{Name: "ci für \"uns\"", Scopes: access.Read, Types: []string{"a", "billing."}}.Faults())
	var members []string
	for _, fault := range (access.NewKey{Name: "a\nb", Types: []string{"ok", "", "billing.*", "%", "A"}}).Faults() {
		members = append(members, fault.Member)
	}
	require.Equal(t, []string{"name", "scopes", "types[1]", "types[2]", "types[3]", "types[4]"}, members)

	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "1s": time.Second, "36h": 36 * time.Hour, "3650d": access.MaxExpiry} {
		d, err := access.ParseExpiry(text)
		require.NoError(t, err)
		require.Equal(t, want, d)
	}
	for _, bad := range []string{"", "0s", "-1h", "d", "1.5d", "-1d", "3651d", "99999999999d", "90", "1y", "500ms"} {
		_, err := access.ParseExpiry(bad)
		require.Error(t, err, bad)
	}
}
