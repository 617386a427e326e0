package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
)

func TestURLsAsLibpqTakesThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		host     string
		port     uint16
		user     string
		password string
		database string
	}{
		"postgres://u:p@h:5433/d":                           {"h", 5433, "u", "p", "d"},
		"postgresql://u:p%40ss%2Fw%23rd%3F1@h/d":            {"h", 5432, "u", "p@ss/w#rd?1", "d"},
		"postgres://u:p@%2Fvar%2Frun%2Fpg:5433/d":           {"/var/run/pg", 5433, "u", "p", "d"},
		"postgres://u@%2fvar%2frun/d?sslmode=disable":       {"/var/run", 5432, "u", "", "d"},
		"postgres:///d?host=/var/run/pg&port=5434&user=u":   {"/var/run/pg", 5434, "u", "", "d"},
		"postgres://u@h/d?password=p%26x":                   {"h", 5432, "u", "p&x", "d"},
		"postgres://u:p@a:1,b:2/d?target_session_attrs=any": {"a", 1, "u", "p", "d"},
		"postgres://u:p@[::1]:5433/d":                       {"::1", 5433, "u", "p", "d"},
	} {
		cfg, err := postgres.ParseURL(text)
		require.NoError(t, err, text)
		require.Equal(t, want.host, cfg.Host, text)
		require.Equal(t, want.port, cfg.Port, text)
		require.Equal(t, want.user, cfg.User, text)
		require.Equal(t, want.password, cfg.Password, text)
		require.Equal(t, want.database, cfg.Database, text)
	}
}

func TestURLsThatCannotBeReadAreNotQuoted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"postgres://u:hunter2@h:port/d", "postgres://u:hunter2%zz@h/d", "postgres://u:hunter2@h%zz/d",
		"host=h user=u password=hunter2", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h/d?sslmode=hunter2", "",
	} {
		_, err := postgres.ParseURL(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "hunter2", text)
	}
}
