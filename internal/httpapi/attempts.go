package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

// attemptShown is one attempt of a task in an answer.
type attemptShown struct {
	Attempt   int         `json:"attempt" minimum:"1" doc:"which of the task's attempts" example:"1"`
	StartedAt string      `json:"started_at" format:"date-time" doc:"when it started" example:"2030-01-02T14:04:05.250000Z"`
	EndedAt   string      `json:"ended_at,omitempty" format:"date-time" doc:"when it ended, unless it runs" example:"2030-01-02T14:04:06.250000Z"`
	WorkerID  string      `json:"worker_id" format:"uuid" doc:"the worker session that started it" example:"0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a"`
	Outcome   task.Status `json:"outcome,omitempty" enum:"done,failed" doc:"how it ended, unless it runs"`
	Failure   *failure    `json:"failure,omitempty" doc:"why it failed"`
}

// attemptList is the answer to GET /task/<id>/attempts.
type attemptList struct {
	Attempts []attemptShown `json:"attempts" nullable:"false" doc:"in the order in which they started"`
}

// attempts answers GET /task/<id>/attempts.
func (a *api) attempts(c *gin.Context) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	all, err := a.reach.Attempts(c.Request.Context(), id)
	if err != nil {
		return err
	}
	list := attemptList{Attempts: make([]attemptShown, len(all))}
	for i := range all {
		one := &all[i]
		list.Attempts[i] = attemptShown{
			Attempt: one.Attempt, StartedAt: formatTime(one.StartedAt), WorkerID: one.WorkerID.String(), Outcome: one.Outcome,
		}
		if !one.EndedAt.IsZero() {
			list.Attempts[i].EndedAt = formatTime(one.EndedAt)
		}
		if one.Failure != nil {
			list.Attempts[i].Failure = &failure{Code: one.Failure.Code, Message: one.Failure.Message}
		}
	}
	return reply(c, http.StatusOK, list)
}
