package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// holdTypes holds the rows of the types that parameter n names until the statement has
// committed, and is what it found. A type that is deleted meanwhile is not found.
func holdTypes(n int) string {
	return fmt.Sprintf(`held AS MATERIALIZED (
			SELECT name FROM types WHERE name = ANY($%d::text[]) ORDER BY name FOR KEY SHARE
		)`, n)
}

// allHeld is whether those are all that it names.
func allHeld(n int) string {
	return fmt.Sprintf(`(SELECT count(*) FROM held) = cardinality($%d::text[])`, n)
}

// heldTypes are the types that a create has to hold, each once: those of all drafts, or
// none if every draft's type ships and so cannot be deleted.
func heldTypes(drafts []task.Draft) (names []string) {
	if !slices.ContainsFunc(drafts, func(d task.Draft) bool { return !task.Ships(d.Type) }) {
		return nil
	}
	seen := map[string]bool{}
	for i := range drafts {
		if name := drafts[i].Type; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// undeclared answers those drafts whose type is not there, by their index.
func (db *DB) undeclared(ctx context.Context, drafts []task.Draft) (map[int]task.Created, error) {
	rows, err := db.pool.Query(ctx, `SELECT name FROM types WHERE name = ANY($1)`, heldTypes(drafts))
	if err != nil {
		return nil, err
	}
	declared := map[string]bool{}
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&name}, func() error { declared[name] = true; return nil }); err != nil {
		return nil, err
	}
	answers := map[int]task.Created{}
	for i := range drafts {
		if kind := drafts[i].Type; !task.Ships(kind) && !declared[kind] {
			answers[i] = task.Created{Err: task.ErrUnknownType}
		}
	}
	return answers, nil
}
