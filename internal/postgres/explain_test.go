package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
)

// statement is one that the code under test really sent.
type statement struct {
	sql  string
	args []any
}

// recorder notes every statement.
type recorder struct {
	mu  sync.Mutex
	all []statement
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.HasPrefix(data.SQL, "SET ") { // of a new connection
		r.all = append(r.all, statement{data.SQL, data.Args})
	}
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// recorded is the fixture's database through a pool with the settings of Open,
// whose statements are noted.
func (f *fixture) recorded(t *testing.T) (*postgres.DB, *recorder) {
	t.Helper()
	notes := &recorder{}
	config := f.Pool().Config()
	config.ConnConfig.Tracer = notes
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return postgres.WithPool(pool, slog.New(slog.DiscardHandler)), notes
}

// plan is a node of what EXPLAIN tells.
type plan struct {
	NodeType string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Rows     float64 `json:"Actual Rows"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Plans    []plan  `json:"Plans"`
}

// buffers counts the pages that the statement looked at.
func (p *plan) buffers() int { return p.Hit + p.Read }

func (p *plan) each(visit func(*plan)) {
	visit(p)
	for i := range p.Plans {
		p.Plans[i].each(visit)
	}
}

// String is the tree, for a test that failed.
func (p *plan) String() string {
	var lines []string
	var write func(p *plan, indent string)
	write = func(p *plan, indent string) {
		lines = append(lines, fmt.Sprintf("%s%s %s %s rows=%v removed=%v buffers=%d %s",
			indent, p.NodeType, p.Relation, p.Index, p.Rows, p.Removed, p.buffers(), p.Cond))
		for i := range p.Plans {
			write(&p.Plans[i], indent+"  ")
		}
	}
	write(p, "")
	return strings.Join(lines, "\n")
}

// The two ways in which Postgres may plan a prepared statement: for the values
// at hand, or once for all values. Which it takes in production depends on the
// costs that it guesses, so a statement has to be cheap by both.
var planModes = []string{"force_custom_plan", "force_generic_plan"}

// explain executes a recorded statement once more, in a transaction that is
// taken back, and returns how Postgres went about it.
func explain(t *testing.T, db *postgres.DB, s statement, mode string) *plan {
	t.Helper()
	tx, err := db.Pool().Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.Background())) }()
	sql, args := s.sql, s.args
	if len(args) == 1 {
		if named, ok := args[0].(pgx.QueryRewriter); ok {
			sql, args, err = named.RewriteQuery(t.Context(), tx.Conn(), sql, nil)
			require.NoError(t, err)
		}
	}
	described, err := tx.Prepare(t.Context(), "probe", sql)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Conn().Deallocate(context.Background(), "probe")) }()
	// EXECUTE takes no parameters but literals, which is what the simple
	// protocol makes of them.
	literals := []any{pgx.QueryExecModeSimpleProtocol}
	var places []string
	for i, oid := range described.ParamOIDs {
		text, err := tx.Conn().TypeMap().Encode(oid, pgx.TextFormatCode, args[i], []byte{})
		require.NoError(t, err)
		if text == nil {
			literals = append(literals, nil)
		} else {
			literals = append(literals, string(text))
		}
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	_, err = tx.Exec(t.Context(), "SET LOCAL plan_cache_mode = "+mode)
	require.NoError(t, err)
	var out string
	require.NoError(t, tx.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE probe("+
		strings.Join(places, ", ")+")", literals...).Scan(&out))
	var plans []struct {
		Plan plan `json:"Plan"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &plans))
	require.Len(t, plans, 1)
	return &plans[0].Plan
}
