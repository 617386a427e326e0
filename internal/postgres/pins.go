package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pins are the settings that every connection must have. No statement here may walk
// a table, and the batch updates must reach their rows through the primary key in
// id order, regardless of table statistics, so the planner is pinned to that. They
// are set by statements, since a connection pooler refuses them as parameters of the
// start.
var pins = []struct{ name, value string }{
	{"jit", "off"},
	{"plan_cache_mode", "force_generic_plan"},
	// That price makes every plan look expensive enough for parallel workers: disable
	// them.
	{"max_parallel_workers_per_gather", "0"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"enable_material", "off"},
	// A plan that reads a whole table looks cheap while that is small, and is
	// kept when it has grown.
	{"cpu_tuple_cost", "10"},
	{"idle_in_transaction_session_timeout", "10s"},
	// A guard that waited for a row must see what became of it, and not fail.
	{"default_transaction_isolation", "read committed"},
}

// setPins are the statements that set them for a connection, in one text.
func setPins() string {
	var text strings.Builder
	for _, pin := range pins {
		fmt.Fprintf(&text, "SET %s = '%s';", pin.name, pin.value)
	}
	return text.String()
}

// PinRole gives the settings to the role of this connection in this database, for
// all connections that it makes from now on. That is for a pooler in transaction
// mode, behind which a connection keeps nothing.
func PinRole(ctx context.Context, conn *pgx.Conn) error {
	var database string
	if err := conn.QueryRow(ctx, `SELECT current_database()`).Scan(&database); err != nil {
		return fmt.Errorf("ask for the name of the database: %w", err)
	}
	for _, pin := range pins {
		_, err := conn.Exec(ctx, fmt.Sprintf("ALTER ROLE CURRENT_USER IN DATABASE %s SET %s = '%s'",
			pgx.Identifier{database}.Sanitize(), pin.name, pin.value))
		if err != nil {
			return fmt.Errorf("give the role its settings: %w", err)
		}
	}
	return nil
}
