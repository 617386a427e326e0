package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/recurrence"
	"github.com/timewheel/timewheel/internal/task"
)

// newScheduleSchema describes what PUT /schedule/<name> takes.
func newScheduleSchema() *huma.Schema {
	longest := recurrence.MaxExpression
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true, Required: []string{"task"},
		Description: "either cron or every is required",
		Properties: map[string]*huma.Schema{
			"cron":      {Type: "string", Nullable: true, MaxLength: &longest, Description: "minute, hour, day of month, month, day of week; before them the second, if there are six", Examples: []any{"0 9 * * 1-5"}},
			"every":     property(durationSchema("elapsed time from starts_at, or from when the schedule was made; from 1s to ten years", "90s")),
			"time_zone": {Type: "string", Nullable: true, Default: "UTC", Description: "the IANA name of the zone in which cron is read", Examples: []any{"Europe/Paris"}},
			"starts_at": {Type: "string", Format: "date-time", Nullable: true, Description: "nothing before it; included"},
			"ends_at":   {Type: "string", Format: "date-time", Nullable: true, Description: "nothing from it on; not included"},
			"jitter":    property(durationSchema("up to how much later than its instant an occurrence is due; at most 24h", "10s")),
			"catch_up":  {Type: "string", Nullable: true, Enum: []any{task.CatchUpNone, task.CatchUpLast, task.CatchUpAll}, Default: task.CatchUpLast, Description: "which occurrences run that could not start within a minute, or half of the period"},
			"overlap":   {Type: "string", Nullable: true, Enum: []any{task.OverlapAllow, task.OverlapSkip}, Default: task.OverlapAllow, Description: "skip: none runs while the one before is open; not with catch_up all"},
			"paused":    {Type: "boolean", Nullable: true, Default: false, Description: "nothing is made"},
			"task":      {Type: "object", AdditionalProperties: true, Required: []string{"task_type"}, Description: "what each occurrence is: the members of POST /task but for execution_time"},
		},
	}
}

// Schema implements huma.SchemaProvider.
func (scheduleResponse) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Ref: schemaPrefix + "Schedule"}
}

func (d describer) putSchedule() *huma.Operation {
	operation := &huma.Operation{
		OperationID: "put-schedule", Method: http.MethodPut, Path: "/schedule/{name}", Summary: "Make tasks again and again",
		Description: "What is not named has its default. The tasks of the schedule as it was that have not started are deleted before the answer. " +
			"A schedule that is as it shall be already stays as it is, with its tasks.",
		Parameters:  []*huma.Param{scheduleParam(), requestIDParam()},
		RequestBody: body("NewSchedule", map[string]any{"cron": "0 9 * * 1-5", "time_zone": "Europe/Paris", "task": map[string]any{"task_type": "foo"}}),
		Responses: d.responses(http.StatusOK, "The schedule as it is now.", reflect.TypeFor[scheduleResponse](), nil,
			errMalformedJSON, errTooManySchedules, errNameTaken, errTooLarge, errMediaType, errInvalid, errUndeclared, errRejected, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
	operation.Responses["201"] = &huma.Response{Description: "The schedule is new.", Content: operation.Responses["200"].Content}
	return operation
}

func (d describer) getSchedule() *huma.Operation {
	return &huma.Operation{
		OperationID: "get-schedule", Method: http.MethodGet, Path: "/schedule/{name}", Summary: "Look at a schedule",
		Parameters: []*huma.Param{scheduleParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The schedule, and what was skipped.", reflect.TypeFor[scheduleResponse](), nil,
			errNoSuchSchedule, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) listSchedules() *huma.Operation {
	return &huma.Operation{
		OperationID: "list-schedules", Method: http.MethodGet, Path: "/schedule", Summary: "List the schedules",
		Parameters: []*huma.Param{
			{Name: "after", In: "query", Description: "only those after this name: next_after of the answer before", Schema: &huma.Schema{Type: huma.TypeString}},
			requestIDParam(),
		},
		Responses: d.responses(http.StatusOK, "At most 1000 of them.", reflect.TypeFor[scheduleListed](), nil,
			errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) nextOfSchedule() *huma.Operation {
	return &huma.Operation{
		OperationID: "next-of-schedule", Method: http.MethodGet, Path: "/schedule/{name}/next", Summary: "See when a schedule falls due",
		Parameters: []*huma.Param{
			scheduleParam(),
			{Name: "n", In: "query", Description: "how many instants", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: number(1), Maximum: number(maxNext), Default: defaultNext}},
			requestIDParam(),
		},
		Responses: d.responses(http.StatusOK, "The instants after now; fewer, if the schedule ends.", reflect.TypeFor[preview](), nil,
			errInvalid, errNoSuchSchedule, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) deleteSchedule() *huma.Operation {
	return &huma.Operation{
		OperationID: "delete-schedule", Method: http.MethodDelete, Path: "/schedule/{name}", Summary: "Delete a schedule, and its tasks that have not started",
		Parameters: []*huma.Param{scheduleParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The schedule is no more.", reflect.TypeFor[deletedSchedule](), nil,
			errNoSuchSchedule, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func scheduleParam() *huma.Param {
	return &huma.Param{
		Name: "name", In: "path", Required: true, Description: "the schedule's name",
		Schema: text(task.MaxTypeLength, `^[a-z][a-z0-9._-]{0,63}$`), Example: "report.daily",
	}
}
