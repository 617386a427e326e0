package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
)

const (
	// firstAttempt bounds the first try of a statement, and maxAttempt later
	// ones, each of which has twice the time of the one before. A reply that
	// takes longer is given up, and the statement is issued again on another
	// connection: soon, for a client waits, and with more time, lest a statement
	// that is merely slow be cut off for ever.
	firstAttempt, maxAttempt = 2 * time.Second, 10 * time.Second

	// maxMoved bounds the tries that follow each other at once because a row moved to the
	// history meanwhile.
	maxMoved = 16

	firstPause, maxPause = 20 * time.Millisecond, time.Second

	// maxStalePlans bounds the tries that follow each other at once because a
	// connection had a plan from before a change of the schema. Each connection
	// of a pool may have one.
	maxStalePlans = 64
)

// retry runs an idempotent statement until it has a definite outcome or ctx
// ends. What it returns then says whether the statement may have happened:
// ErrUnavailable if no try reached a commit, ErrUnknownOutcome otherwise.
func (db *DB) retry(ctx context.Context, what string, try func(context.Context) error) error {
	unknown, timedOut := false, false
	stale, moved := 0, 0
	patience := firstAttempt
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.5,
	}
	for {
		a := &attempt{suspect: timedOut}
		limited, cancel := context.WithTimeout(context.WithValue(ctx, attemptKey{}, a), patience)
		err := try(limited)
		timedOut = limited.Err() != nil
		cancel()
		if err == nil {
			return nil
		}
		if isStalePlan(err) && stale < maxStalePlans && ctx.Err() == nil {
			stale++
			continue
		}
		if isMoved(err) && moved < maxMoved && ctx.Err() == nil {
			moved++
			continue
		}
		verdict := classify(err)
		if verdict == definite {
			return fmt.Errorf("%s: %w", what, err)
		}
		unknown = unknown || verdict == maybeDone && a.sent
		if isReadOnly(err) {
			// Of several hosts another one may be the primary by now.
			db.pool.Reset()
		}
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
		case <-time.After(pauses.NextBackOff()):
		}
		if timedOut {
			patience = min(2*patience, maxAttempt)
		}
	}
}

// retryRead is retry for a statement that changes nothing: that its outcome is
// not known is no news to anybody.
func (db *DB) retryRead(ctx context.Context, what string, try func(context.Context) error) error {
	err := db.retry(ctx, what, try)
	if errors.Is(err, task.ErrUnknownOutcome) {
		return fmt.Errorf("%w: %s", task.ErrUnavailable, err.Error())
	}
	return err
}

type verdict int

const (
	definite  verdict = iota // the server refused the statement, and would again
	notDone                  // it did not happen, and may succeed later
	maybeDone                // it may have happened
)

// classify says what is known of a statement that returned err.
func classify(err error) verdict {
	var refusal *pgconn.PgError
	var connect *pgconn.ConnectError
	var conflict *task.StatusError
	switch {
	case errors.Is(err, task.ErrNotFound), errors.Is(err, task.ErrKeyReused), errors.Is(err, task.ErrDeleted),
		errors.Is(err, task.ErrUnknownType), errors.Is(err, task.ErrNoSuchType), errors.Is(err, task.ErrTypeInUse),
		errors.Is(err, task.ErrTooManyTypes), errors.Is(err, task.ErrChanged), errors.Is(err, task.ErrNoSuchSchedule),
		errors.Is(err, task.ErrTooManySchedules), errors.Is(err, task.ErrOlderWorkers), errors.As(err, &conflict),
		errors.Is(err, task.ErrNameTaken), errors.Is(err, task.ErrNoSuchOperation), errors.Is(err, task.ErrTooManyOperations),
		errors.Is(err, access.ErrNoSuchKey), errors.Is(err, access.ErrTooManyKeys), errors.Is(err, access.ErrBeyond):
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
	if isStalePlan(err) || isNewPartition(refusal) {
		return notDone
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

// isStalePlan reports whether the connection had prepared the statement before
// the schema changed. The driver has forgotten that plan, so the next try on
// this connection makes a new one.
func isStalePlan(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.FeatureNotSupported &&
		refusal.Routine == "RevalidateCachedQuery"
}

// isMoved reports whether a row that the statement came to has moved to another partition
// since it began. The statement changed nothing, and finds the row there.
func isMoved(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.SerializationFailure
}

// isNewPartition reports whether a partition was made for a row after the statement had
// chosen another one.
func isNewPartition(refusal *pgconn.PgError) bool {
	return refusal.Code == pgerrcode.CheckViolation && refusal.ConstraintName == ""
}

func isReadOnly(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.ReadOnlySQLTransaction
}

func isUndefinedTable(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.UndefinedTable
}

// isConflict reports whether a draft's id or key was there already.
func isConflict(err error) bool {
	return isUniqueViolation(err, "tasks_pkey") || isUniqueViolation(err, "tasks_idempotency_key") ||
		isUniqueViolation(err, "batches_pkey") || isUniqueViolation(err, "task_labels_pkey")
}

func isUniqueViolation(err error, constraint string) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.UniqueViolation &&
		refusal.ConstraintName == constraint
}
