package httpapi

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// view is a task as the contract shows it. What is not there yet is absent.
type view struct {
	TaskID        string          `json:"task_id" format:"uuid" doc:"names the task for its whole life" example:"0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a"`
	TaskType      string          `json:"task_type" doc:"what is executed" example:"foo"`
	Status        task.Status     `json:"status" enum:"submitted,started_executing,done,failed,deleted" doc:"where the task is in its life"`
	ExecutionTime string          `json:"execution_time" format:"date-time" doc:"what was asked for" example:"2030-01-02T14:04:05.250000Z"`
	DueAt         string          `json:"due_at" format:"date-time" doc:"when the task fires next; later than execution_time after a retry" example:"2030-01-02T14:04:05.250000Z"`
	Payload       json.RawMessage `json:"payload,omitempty" doc:"the value that was sent, with each number as it was written"`
	Attempt       int             `json:"attempt" minimum:"0" doc:"how often the task was started" example:"1"`
	MaxAttempts   int             `json:"max_attempts" minimum:"1" doc:"how often it may be started" example:"1"`
	WorkerID      string          `json:"worker_id,omitempty" format:"uuid" doc:"the worker session of the latest attempt"`
	CreatedAt     string          `json:"created_at" format:"date-time" doc:"when the task was committed" example:"2030-01-02T13:59:00.000125Z"`
	StartedAt     string          `json:"started_at,omitempty" format:"date-time" doc:"when the latest attempt started" example:"2030-01-02T14:04:05.251204Z"`
	FinishedAt    string          `json:"finished_at,omitempty" format:"date-time" doc:"when the task ended" example:"2030-01-02T14:04:06.253001Z"`
	LatenessMS    *float64        `json:"lateness_ms,omitempty" doc:"started_at minus execution_time, in milliseconds, exact to the microsecond" example:"1.204"`
	Result        json.RawMessage `json:"result,omitempty" doc:"any JSON value that the task type returned"`
	Failure       *failure        `json:"failure,omitempty" doc:"why the latest attempt failed"`
}

type failure struct {
	Code    task.Code `json:"code" doc:"why, for a program" example:"timeout"`
	Message string    `json:"message" doc:"why, for a person" example:"not done within 5m0s"`
}

func viewOf(t *task.Task) view {
	v := view{
		TaskID:        t.ID.String(),
		TaskType:      t.Type,
		Status:        t.Status,
		ExecutionTime: formatTime(t.ExecutionTime),
		DueAt:         formatTime(t.DueAt),
		Payload:       t.Payload,
		Attempt:       t.Attempt,
		MaxAttempts:   t.MaxAttempts,
		CreatedAt:     formatTime(t.CreatedAt),
		StartedAt:     formatKnown(t.StartedAt),
		FinishedAt:    formatKnown(t.FinishedAt),
		Result:        t.Result,
	}
	if t.WorkerID != uuid.Nil {
		v.WorkerID = t.WorkerID.String()
	}
	if late, started := t.Lateness(); started {
		ms := float64(late.Microseconds()) / 1000
		v.LatenessMS = &ms
	}
	if t.Failure != nil {
		v.Failure = &failure{Code: t.Failure.Code, Message: t.Failure.Message}
	}
	return v
}

// formatTime writes RFC 3339 in UTC with microseconds.
func formatTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// formatKnown is formatTime for a time that may not be known yet. The zero
// time is also the earliest execution time, and so tells nothing there.
func formatKnown(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return formatTime(at)
}
