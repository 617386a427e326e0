package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// attemptTimeout bounds one try of a statement. A reply that takes longer
	// is given up, and the statement is issued again on another connection.
	attemptTimeout = 10 * time.Second

	firstPause, maxPause = 20 * time.Millisecond, time.Second
)

// retry runs an idempotent statement until it has a definite outcome or ctx
// ends. What it returns then says whether the statement may have happened:
// ErrUnavailable if no try reached a commit, ErrUnknownOutcome otherwise.
func (db *DB) retry(ctx context.Context, what string, try func(context.Context) error) error {
	unknown := false
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		verdict := classify(err)
		if verdict == definite {
			return fmt.Errorf("%s: %w", what, err)
		}
		unknown = unknown || verdict == maybeDone
		if ctx.Err() == nil {
			db.log.Warn("statement is tried again", "statement", what, "maybe_done", unknown, "error", err)
		}
		select {
		case <-ctx.Done():
			outcome := task.ErrUnavailable
			if unknown {
				outcome = task.ErrUnknownOutcome
			}
			return fmt.Errorf("%s: %w: %w", what, outcome, err)
		case <-time.After(jitter(pause)):
		}
	}
}

// jitter spreads pauses over the upper half of d, so that many callers that
// failed together do not come back together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

type verdict int

const (
	definite  verdict = iota // the server refused the statement for good
	notDone                  // it did not happen, and may succeed later
	maybeDone                // it may have happened
)

// classify says what is known of a statement that returned err.
func classify(err error) verdict {
	var refusal *pgconn.PgError
	var connect *pgconn.ConnectError
	var conflict *task.StatusError
	switch {
	case errors.Is(err, task.ErrNotFound), errors.Is(err, task.ErrKeyReused), errors.As(err, &conflict):
		// Not a failure but the answer.
		return definite
	case errors.As(err, &connect), pgconn.SafeToRetry(err):
		return notDone
	case !errors.As(err, &refusal):
		// The connection broke or the wait for the reply was given up.
		return maybeDone
	case refusal.SeverityUnlocalized == "FATAL" || refusal.SeverityUnlocalized == "PANIC":
		// The backend was ended. It may be that this came after the commit and
		// before its reply.
		return maybeDone
	}
	switch refusal.Code[:2] {
	case "40", "53", "55", "57", "58": // rollback, resources, locks, operator, system
		return notDone
	case "25":
		// Read-only: a standby that is, or is about to become, the primary.
		return notDone
	}
	return definite
}

// isData reports whether the server refused a value, not the statement: its
// type cannot hold it, or it is too large or too deep.
func isData(err error) (*pgconn.PgError, bool) {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return nil, false
	}
	return refusal, pgerrcode.IsDataException(refusal.Code) || pgerrcode.IsProgramLimitExceeded(refusal.Code)
}

func isUndefinedTable(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.UndefinedTable
}

// isConflict reports whether a draft's id or key was there already.
func isConflict(err error) bool {
	return isUniqueViolation(err, "tasks_pkey") || isUniqueViolation(err, "tasks_idempotency_key")
}

func isUniqueViolation(err error, constraint string) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.UniqueViolation &&
		refusal.ConstraintName == constraint
}
