package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/recurrence"
	"github.com/timewheel/timewheel/internal/task"
)

const (
	// scheduleList is how many schedules one answer lists.
	scheduleList = 1000
	// defaultNext and maxNext bound a preview.
	defaultNext, maxNext = 10, 1000
)

// scheduleResponse is a schedule as answers show it, with all of its members.
type scheduleResponse struct{ s *task.Schedule }

// MarshalJSON writes the members that are put, and what the schedule has come to.
func (r scheduleResponse) MarshalJSON() ([]byte, error) {
	s := r.s
	definition := map[string]any{"task_type": s.TaskType}
	if s.Payload != nil {
		definition["payload"] = s.Payload
	}
	if s.Labels != nil {
		definition["labels"] = s.Labels.Map()
	}
	if s.MaxAttempts != nil {
		definition["max_attempts"] = *s.MaxAttempts
	}
	if s.Timeout != nil {
		definition["timeout"] = formatDuration(*s.Timeout)
	}
	if s.Retry != nil {
		definition["retry"] = showRetry(s.Retry)
	}
	shown := scheduleShown{
		Name: s.Name, TimeZone: s.Zone, StartsAt: timeOrNil(s.StartsAt), EndsAt: timeOrNil(s.EndsAt), Jitter: formatDuration(s.Jitter),
		CatchUp: s.CatchUp, Overlap: s.Overlap, Paused: s.Paused, Task: definition,
		CreatedAt: formatTime(s.CreatedAt), UpdatedAt: formatTime(s.UpdatedAt),
		Skipped: skippedShown{
			Late: s.Skipped.Late, Overlap: s.Skipped.Overlap, Changed: s.Skipped.Changed,
			LastAt: timeOrNil(s.Skipped.LastAt), LastReason: s.Skipped.LastReason,
		},
	}
	if s.Cron != "" {
		shown.Cron = &s.Cron
	} else {
		every := formatDuration(s.Every)
		shown.Every = &every
	}
	return json.Marshal(shown)
}

type scheduleShown struct {
	Name      string         `json:"name" doc:"the schedule's name" example:"report.daily"`
	Cron      *string        `json:"cron" doc:"minute, hour, day of month, month, day of week; before them the second, if there are six" example:"0 9 * * 1-5"`
	Every     *string        `json:"every" doc:"elapsed time from starts_at, or from when the schedule was made" example:"90s"`
	TimeZone  string         `json:"time_zone" doc:"the IANA name of the zone in which cron is read" example:"Europe/Paris"`
	StartsAt  *string        `json:"starts_at" format:"date-time" doc:"nothing before it; included"`
	EndsAt    *string        `json:"ends_at" format:"date-time" doc:"nothing from it on; not included"`
	Jitter    string         `json:"jitter" doc:"up to how much later than its instant an occurrence is due" example:"0s"`
	CatchUp   task.CatchUp   `json:"catch_up" enum:"none,last,all" doc:"which occurrences run that could not start in time"`
	Overlap   task.Overlap   `json:"overlap" enum:"allow,skip" doc:"whether an occurrence runs while the one before is open"`
	Paused    bool           `json:"paused" doc:"nothing is made"`
	Task      map[string]any `json:"task" doc:"what each occurrence is: task_type, payload, labels, max_attempts, timeout, retry"`
	CreatedAt string         `json:"created_at" format:"date-time" doc:"when it was made"`
	UpdatedAt string         `json:"updated_at" format:"date-time" doc:"when it was changed last"`
	Skipped   skippedShown   `json:"skipped" doc:"occurrences that did not run"`
}

type skippedShown struct {
	Late       int64   `json:"late" doc:"that could not start in time"`
	Overlap    int64   `json:"overlap" doc:"that fell due while the one before was open"`
	Changed    int64   `json:"changed" doc:"that were due and had not started when the schedule was changed"`
	LastAt     *string `json:"last_at" format:"date-time" doc:"the latest of them"`
	LastReason *string `json:"last_reason" doc:"why: late, overlap or changed"`
}

func timeOrNil(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := formatTime(*at)
	return &text
}

// scheduleListed is the answer to GET /schedule.
type scheduleListed struct {
	Schedules []scheduleResponse `json:"schedules" nullable:"false" doc:"in the order of their names"`
	Next      *string            `json:"next_after" doc:"ask for those after this name, or null if there are no more"`
}

// deletedSchedule is the answer to DELETE /schedule/<name>.
type deletedSchedule struct {
	Name string `json:"name" doc:"the schedule that is no more" example:"report.daily"`
}

// preview is the answer to GET /schedule/<name>/next.
type preview struct {
	Next []string `json:"next" nullable:"false" format:"date-time" doc:"the instants after now, without jitter"`
}

// putSchedule answers PUT /schedule/<name> with this body.
func (a *api) putSchedule(c *gin.Context, body []byte) error {
	s, err := a.decodeSchedule(c.Request.Context(), c.Param("name"), body)
	if err != nil {
		return err
	}
	put, created, err := a.reach.PutSchedule(c.Request.Context(), s)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return reply(c, status, scheduleResponse{&put})
}

// getSchedule answers GET /schedule/<name>.
func (a *api) getSchedule(c *gin.Context) error {
	s, err := a.reach.GetSchedule(c.Request.Context(), c.Param("name"))
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, scheduleResponse{&s})
}

// listSchedules answers GET /schedule.
func (a *api) listSchedules(c *gin.Context) error {
	all, err := a.reach.Schedules(c.Request.Context(), c.Query("after"), scheduleList+1)
	if err != nil {
		return err
	}
	body := scheduleListed{Schedules: []scheduleResponse{}}
	if len(all) > scheduleList {
		all = slices.Clip(all[:scheduleList])
		body.Next = &all[scheduleList-1].Name
	}
	for i := range all {
		body.Schedules = append(body.Schedules, scheduleResponse{&all[i]})
	}
	return reply(c, http.StatusOK, body)
}

// deleteSchedule answers DELETE /schedule/<name>.
func (a *api) deleteSchedule(c *gin.Context) error {
	name := c.Param("name")
	if err := a.reach.DeleteSchedule(c.Request.Context(), name); err != nil {
		return err
	}
	return reply(c, http.StatusOK, deletedSchedule{name})
}

// nextOfSchedule answers GET /schedule/<name>/next.
func (a *api) nextOfSchedule(c *gin.Context) error {
	n := defaultNext
	if text, given := c.GetQuery("n"); given {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxNext {
			return invalidFields(FieldError{"n", "must be a whole number from 1 to " + strconv.Itoa(maxNext)})
		}
	}
	s, err := a.reach.GetSchedule(c.Request.Context(), c.Param("name"))
	if err != nil {
		return err
	}
	body := preview{Next: []string{}}
	rule, err := recurrence.Of(&s)
	if err != nil {
		return err
	}
	for at := time.Now(); len(body.Next) < n; { // a preview decides nothing, so this clock will do
		next, ok := recurrence.NextOf(&s, rule, at)
		if !ok {
			break
		}
		body.Next = append(body.Next, next.UTC().Format(time.RFC3339Nano))
		at = next
	}
	return reply(c, http.StatusOK, body)
}
