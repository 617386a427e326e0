package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// describe makes the OpenAPI document. Its schemas come from the very structs
// that are answered with, and its problems from the table that words them.
// huma is used for the model alone: its own request handling costs the hot
// path more than all of ours, and cannot list faults the way the contract
// does.
func describe(scopes map[route]access.Scopes) []byte {
	d := describer{schemas: huma.NewMapRegistry(schemaPrefix, schemaName)}
	document := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:       "timewheel",
			Version:     "1.0.0",
			Description: "Executes a task only once, when its execution time has come.",
		},
		Components: &huma.Components{Schemas: d.schemas, SecuritySchemes: map[string]*huma.SecurityScheme{keyScheme: {
			Type: "http", Scheme: "bearer", BearerFormat: "tw_...",
			Description: "A key, which is needed with AUTH=keys. Each operation names the scope that the key must have. What a key may not see is answered as if it were not there.",
		}}},
	}
	d.of(reflect.TypeFor[failure]())
	d.schemas.Map()["Task"] = taskSchema(func(f taskField) (shown, always bool) { return f.show != nil, f.always })
	d.schemas.Map()["NewTask"] = taskSchema(func(f taskField) (sent, required bool) { return f.read != nil, f.required })
	d.schemas.Map()["TaskPatch"] = taskSchema(func(f taskField) (sent, required bool) { return f.patch != nil, false })
	for _, f := range taskFields {
		for _, sent := range []string{"NewTask", "TaskPatch"} {
			if member := d.schemas.Map()[sent].Properties[f.name]; f.nullable && member != nil {
				member.Nullable = true
			}
		}
	}
	d.schemas.Map()["NewBatch"] = newBatchSchema()
	d.of(reflect.TypeFor[scheduleShown]())
	d.schemas.Map()["NewSchedule"] = newScheduleSchema()
	d.of(reflect.TypeFor[operationShown]())
	d.schemas.Map()["NewOperation"] = newOperationSchema()
	d.schemas.Map()["Type"], d.schemas.Map()["NewType"] = typeSchema(true), typeSchema(false)
	for _, operation := range []*huma.Operation{
		d.createTask(), d.createBulk(), d.listTasks(), d.countTasks(), d.getTask(), d.changeTask(), d.deleteTask(),
		d.runTask(), d.cancelTask(), d.retryTask(), d.listAttempts(),
		d.putByKey(), d.getByKey(), d.deleteByKey(),
		d.putType(), d.getType(), d.listTypes(), d.deleteType(),
		d.putSchedule(), d.getSchedule(), d.listSchedules(), d.nextOfSchedule(), d.deleteSchedule(),
		d.createKey(), d.listKeys(), d.revokeKey(), d.listAudit(),
		d.createOperation(), d.getOperation(), d.listOperations(), d.stopOperation(),
		d.health("/livez", "livez", "Whether the process serves at all", http.StatusOK),
		d.health("/readyz", "readyz", "Whether tasks can be taken", http.StatusOK, http.StatusServiceUnavailable),
		d.plain("/metrics", "metrics", "What Prometheus scrapes", "text/plain", &huma.Schema{Type: huma.TypeString}),
		d.plain("/openapi.json", "openapi", "This document", "application/json", &huma.Schema{Type: huma.TypeObject}),
	} {
		d.secure(operation, scopes)
		document.AddOperation(operation)
	}
	d.schemas.Map()["TaskPage"].Properties["next_cursor"].Nullable = true
	d.schemas.Map()["NewKey"] = newKeySchema()
	for schema, members := range map[string][]string{
		"Key": {"made_by", "expires_at", "revoked_at", "last_used_at"}, "AuditEvent": {"status"}, "AuditPage": {"next_cursor"},
	} {
		for _, member := range members {
			d.schemas.Map()[schema].Properties[member].Nullable = true
		}
	}

	encoded, err := json.Marshal(document)
	if err != nil {
		panic(fmt.Sprintf("encode the OpenAPI document: %v", err)) // only a fault of this file can cause it
	}
	return encoded
}

const schemaPrefix = "#/components/schemas/"

// taskSchema describes those of taskFields that are in it.
func taskSchema(in func(taskField) (in, required bool)) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
	for _, f := range taskFields {
		if is, required := in(f); is {
			property := f.schema
			s.Properties[f.name] = &property
			if required {
				s.Required = append(s.Required, f.name)
			}
		}
	}
	return s
}

func newBatchSchema() *huma.Schema {
	least, most := 1, maxBatch
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"tasks"},
		Properties: map[string]*huma.Schema{"tasks": {
			Type: huma.TypeArray, Items: &huma.Schema{Ref: schemaPrefix + "NewTask"}, MinItems: &least, MaxItems: &most,
			Description: "what to create; each payload may have 256 KiB",
		}},
	}
}

// Schema implements huma.SchemaProvider.
func (taskResponse) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Ref: schemaPrefix + "Task"}
}

// schemaName gives the structs of this package the names that clients see.
func schemaName(t reflect.Type, _ string) string {
	names := map[reflect.Type]string{
		reflect.TypeFor[created]():          "CreatedTask",
		reflect.TypeFor[createdBatch]():     "CreatedBatch",
		reflect.TypeFor[stats]():            "Stats",
		reflect.TypeFor[typeCounts]():       "TypeCounts",
		reflect.TypeFor[dueCounts]():        "DueCounts",
		reflect.TypeFor[deleted]():          "DeletedTask",
		reflect.TypeFor[attemptShown]():     "Attempt",
		reflect.TypeFor[attemptList]():      "AttemptList",
		reflect.TypeFor[failure]():          "Failure",
		reflect.TypeFor[page]():             "TaskPage",
		reflect.TypeFor[typeList]():         "TypeList",
		reflect.TypeFor[deletedType]():      "DeletedType",
		reflect.TypeFor[scheduleShown]():    "Schedule",
		reflect.TypeFor[skippedShown]():     "Skipped",
		reflect.TypeFor[scheduleListed]():   "ScheduleList",
		reflect.TypeFor[deletedSchedule]():  "DeletedSchedule",
		reflect.TypeFor[preview]():          "Preview",
		reflect.TypeFor[keyShown]():         "Key",
		reflect.TypeFor[keyList]():          "KeyList",
		reflect.TypeFor[revokedKey]():       "RevokedKey",
		reflect.TypeFor[eventShown]():       "AuditEvent",
		reflect.TypeFor[auditPage]():        "AuditPage",
		reflect.TypeFor[operationShown]():   "Operation",
		reflect.TypeFor[operationListed]():  "OperationList",
		reflect.TypeFor[skipShown]():        "SkippedTask",
		reflect.TypeFor[problem]():          "Problem",
		reflect.TypeFor[FieldError]():       "FieldError",
		reflect.TypeFor[telemetry.Health](): "Health",
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return names[t]
}

type describer struct{ schemas huma.Registry }

func (d describer) createTask() *huma.Operation {
	return &huma.Operation{
		OperationID: "create-task", Method: http.MethodPost, Path: "/task", Summary: "Create a task",
		Description: "The answer is sent once the task is committed. Without an Idempotency-Key, a repeated request makes a second task.",
		Parameters:  []*huma.Param{keyParam("Names this task for the client: repeating the same request with it answers with the same task, or with 409 once that was deleted."), requestIDParam()},
		RequestBody: body("NewTask", exampleTask()),
		Responses: d.responses(http.StatusCreated, "The task is committed.", reflect.TypeFor[created](),
			map[string]*huma.Param{"Location": locationHeader()},
			errMalformedJSON, errKeyReused, errKeyDeleted, errTooLarge, errMediaType, errInvalid, errRejected, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) createBulk() *huma.Operation {
	return &huma.Operation{
		OperationID: "create-batch", Method: http.MethodPost, Path: "/task/batch", Summary: "Create many tasks, all or none",
		Description: "The answer is sent once all tasks are committed. What is wrong with one of them is reported under its place, such as tasks[3].execution_time, and then none is created. " +
			"Without an Idempotency-Key, a repeated request makes all tasks a second time.",
		Parameters:  []*huma.Param{keyParam("Names this batch for the client: repeating the same request with it answers with the same tasks."), requestIDParam()},
		RequestBody: body("NewBatch", map[string]any{"tasks": []any{exampleTask()}}),
		Responses: d.responses(http.StatusCreated, "All tasks are committed.", reflect.TypeFor[createdBatch](), nil,
			errMalformedJSON, errKeyReused, errKeyDeleted, errBatchTooLarge, errMediaType, errInvalid, errRejected, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) getTask() *huma.Operation {
	return &huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/task/{id}", Summary: "Look at a task",
		Parameters: []*huma.Param{idParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The task.", reflect.TypeFor[taskResponse](), etagHeader(),
			errInvalidID, errNotFound, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) changeTask() *huma.Operation {
	return &huma.Operation{
		OperationID: "change-task", Method: http.MethodPatch, Path: "/task/{id}", Summary: "Move or change a task that has not started",
		Description: "After a 200 the task never runs at a time that it had before. The payload is merged as RFC 7396 says: " +
			"null removes a member, and what is not named stays as it is, with each digit of its numbers.",
		Parameters: []*huma.Param{idParam(), matchParam(), requestIDParam()},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			mergePatchType: {Schema: &huma.Schema{Ref: schemaPrefix + "TaskPatch"}, Example: map[string]any{"execution_time": "2030-01-02T16:00:00Z"}},
		}},
		Responses: d.responses(http.StatusOK, "The task as it is now.", reflect.TypeFor[taskResponse](), etagHeader(),
			errMalformedJSON, errInvalidID, errNotFound, errConflict, errPrecondition, errTooLarge, errPatchMediaType, errInvalid, errRejected,
			errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func matchParam() *huma.Param {
	return &huma.Param{
		Name: matchHeader, In: "header", Example: `"pWZ3kcAcZ2vVdYVZgNQ1ug"`,
		Description: "a list of entity tags, or *: the task is changed only if its ETag is one of them. A weak tag is none.",
		Schema:      &huma.Schema{Type: huma.TypeString},
	}
}

func locationHeader() *huma.Param {
	return &huma.Param{Description: "the path of the task", Schema: &huma.Schema{Type: huma.TypeString, Format: "uri-reference"}}
}

func etagHeader() map[string]*huma.Param {
	return map[string]*huma.Param{"ETag": {Description: "another one for each change of the task", Schema: &huma.Schema{Type: huma.TypeString}}}
}

func (d describer) deleteTask() *huma.Operation {
	return &huma.Operation{
		OperationID: "delete-task", Method: http.MethodDelete, Path: "/task/{id}", Summary: "Delete a task that has not started",
		Parameters: []*huma.Param{idParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The task will not execute. Asking again answers the same.", reflect.TypeFor[deleted](), nil,
			errInvalidID, errNotFound, errConflict, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) health(path, id, summary string, statuses ...int) *huma.Operation {
	operation := d.plain(path, id, summary, "application/json", d.of(reflect.TypeFor[telemetry.Health]()))
	for _, status := range statuses {
		operation.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     operation.Responses["200"].Content,
		}
	}
	return operation
}

func (d describer) plain(path, id, summary, mediaType string, schema *huma.Schema) *huma.Operation {
	return &huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary,
		Responses: map[string]*huma.Response{
			"200": {Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{mediaType: {Schema: schema}}},
		},
	}
}

// responses describes a success and every problem that an operation can end
// in, those of one status together.
func (d describer) responses(status int, description string, body reflect.Type, headers map[string]*huma.Param, problems ...*problem) map[string]*huma.Response {
	responses := map[string]*huma.Response{
		strconv.Itoa(status): {
			Description: description,
			Headers:     headers,
			Content:     map[string]*huma.MediaType{"application/json": {Schema: d.of(body)}},
		},
	}
	d.addProblems(responses, problems...)
	return responses
}

func (d describer) addProblems(responses map[string]*huma.Response, problems ...*problem) {
	for _, p := range problems {
		response := responses[strconv.Itoa(p.Status)]
		if response == nil {
			response = &huma.Response{
				Description: p.Title,
				Headers:     map[string]*huma.Param{},
				Content: map[string]*huma.MediaType{
					"application/problem+json": {Schema: d.of(reflect.TypeFor[problem]()), Examples: map[string]*huma.Example{}},
				},
			}
			responses[strconv.Itoa(p.Status)] = response
		}
		if p.retryAfter > 0 {
			response.Headers["Retry-After"] = &huma.Param{Description: "seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}}
		}
		if p.authenticate != "" {
			response.Headers["WWW-Authenticate"] = &huma.Param{Description: "how to send a key", Schema: &huma.Schema{Type: huma.TypeString}}
		}
		response.Content["application/problem+json"].Examples[p.Code] = &huma.Example{Value: exampleOf(*p)}
	}
}

func exampleOf(p problem) problem {
	p.RequestID = "VN3FCK7W5RJYQ2ZSAUBG4XHTML"
	switch p.Code {
	case errInvalid.Code:
		p.Errors = []FieldError{{"execution_time", timeForm}}
	case errConflict.Code, errNotRetried.Code:
		p.TaskStatus = task.Done
	}
	return p
}

func body(schema string, example any) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Ref: schemaPrefix + schema}, Example: example},
	}}
}

func exampleTask() map[string]any {
	return map[string]any{"task_type": "foo", "execution_time": "2030-01-02T15:04:05.25+01:00"}
}

func (d describer) of(t reflect.Type) *huma.Schema { return d.schemas.Schema(t, true, "") }

func idParam() *huma.Param {
	return &huma.Param{
		Name: "id", In: "path", Required: true, Description: "the task's id",
		Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"},
	}
}

func keyParam(description string) *huma.Param {
	return &huma.Param{
		Name: keyHeader, In: "header", Description: description,
		Schema: text(task.MaxKeyLength, `^[!-~]+$`), Example: "order-7731-reminder",
	}
}

func requestIDParam() *huma.Param {
	return &huma.Param{
		Name: requestIDHeader, In: "header", Description: "names the request in the log and in the answer; made up if not sent",
		Schema: text(maxRequestID, `^[!-~]+$`),
	}
}

func text(longest int, pattern string) *huma.Schema {
	shortest := 1
	return &huma.Schema{Type: huma.TypeString, MinLength: &shortest, MaxLength: &longest, Pattern: pattern}
}

func enum[T any](values []T) []any {
	list := make([]any, len(values))
	for i, value := range values {
		list[i] = value
	}
	return list
}
