package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/task"
)

func (d describer) countTasks() *huma.Operation {
	return &huma.Operation{
		OperationID: "stats", Method: http.MethodGet, Path: "/stats", Summary: "Count tasks",
		Description: "Counts are exact up to 10000; more is \"10000+\". Those who ask at once are answered with the same counts, and where it takes long to make them they are kept for a while: as_of tells of when they are.",
		Parameters:  []*huma.Param{requestIDParam()},
		Responses: d.responses(http.StatusOK, "The counts.", reflect.TypeFor[stats](), nil,
			errInvalid, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) listTasks() *huma.Operation {
	low, high, labels := 1.0, float64(task.MaxPage), task.MaxLabels
	window := func(name, what string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: what, Schema: &huma.Schema{Type: huma.TypeString, Format: "date-time"}}
	}
	return &huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/task", Summary: "List tasks",
		Description: "A page looks at a bounded number of tasks, however many there are. So a filter that few tasks pass may give a page that is short, or empty, and has a next_cursor: the list goes on until that is null.",
		Parameters: []*huma.Param{
			{Name: "status", In: "query", Description: "only tasks of this status", Schema: &huma.Schema{Type: huma.TypeString, Enum: enum(task.Statuses())}},
			{Name: "type", In: "query", Description: "only tasks of this type", Schema: &huma.Schema{Type: huma.TypeString}},
			{
				Name: "label", In: "query", Example: []string{"customer:42"}, Description: "only tasks with this label, key:value; may be given again, and all must hold",
				Schema: &huma.Schema{Type: huma.TypeArray, MaxItems: &labels, Items: &huma.Schema{Type: huma.TypeString}},
			},
			window("due_after", "only tasks with a due_at from this time on, which is included"),
			window("due_before", "only tasks with a due_at before this time, which is not included"),
			window("created_after", "only tasks with a created_at from this time on, which is included"),
			window("created_before", "only tasks with a created_at before this time, which is not included"),
			{
				Name: "order", In: "query", Description: "-created is newest first; due is soonest first, for status=submitted and status=started_executing",
				Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{task.NewestFirst, task.SoonestDue}, Default: task.NewestFirst},
			},
			{Name: "limit", In: "query", Description: "the most tasks to show; large ones make a page shorter", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &low, Maximum: &high, Default: task.DefaultPage}},
			{Name: "cursor", In: "query", Description: "next_cursor of the page before, with the same filters and order", Schema: &huma.Schema{Type: huma.TypeString}},
			requestIDParam(),
		},
		Responses: d.responses(http.StatusOK, "One page.", reflect.TypeFor[page](),
			map[string]*huma.Param{"Link": {Description: `the next page, as rel="next", unless this is the last`, Schema: &huma.Schema{Type: huma.TypeString}}},
			errInvalidCursor, errInvalid, errOverloaded, errInternal, errUnavailable),
	}
}
