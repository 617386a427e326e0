package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Attempts are the attempts of a task, in order, with the one that runs. The error is
// task.ErrNotFound or task.ErrUnavailable.
func (db *DB) Attempts(ctx context.Context, id task.ID) ([]task.Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var found task.Task
	var earlier *string
	err := db.retryRead(ctx, "get attempts", func(ctx context.Context) error {
		found = task.Task{}
		err := db.reads.QueryRow(ctx, `SELECT `+readColumns+`, t.earlier_attempts::text FROM tasks t WHERE t.id = $1`, id).
			Scan(targets(&found, readScans, &earlier)...)
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all, err := earlierAttempts(earlier)
	if err != nil {
		return nil, fmt.Errorf("read the attempts of a task: %w", err)
	}
	// The latest attempt stands in the row itself, unless it was put back.
	if !found.StartedAt.IsZero() {
		latest := task.Attempt{Attempt: found.Attempt, StartedAt: found.StartedAt, EndedAt: found.FinishedAt, WorkerID: found.WorkerID}
		if found.Status.Terminal() {
			latest.Outcome, latest.Failure = found.Status, found.Failure
		}
		all = append(all, latest)
	}
	return all, nil
}

// storedAttempt is an element of the column earlier_attempts, as endedAs makes it.
type storedAttempt struct {
	Attempt   int       `json:"attempt"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	WorkerID  uuid.UUID `json:"worker_id"`
	Code      task.Code `json:"code"`
	Message   string    `json:"message"`
}

func earlierAttempts(text *string) ([]task.Attempt, error) {
	if text == nil {
		return nil, nil
	}
	var stored []storedAttempt
	if err := json.Unmarshal([]byte(*text), &stored); err != nil {
		return nil, err
	}
	all := make([]task.Attempt, len(stored))
	for i, s := range stored {
		all[i] = task.Attempt{
			Attempt: s.Attempt, StartedAt: s.StartedAt.UTC(), EndedAt: s.EndedAt.UTC(), WorkerID: s.WorkerID,
			Outcome: task.Failed, Failure: &task.Failure{Code: s.Code, Message: s.Message},
		}
	}
	return all, nil
}
