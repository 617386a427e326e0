package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// maxTypeBody is the largest body of PUT /type/<name>, in bytes.
const maxTypeBody = 256 << 10

// typeResponse is a task type as answers show it, with all of its members.
type typeResponse struct{ t *task.Type }

// MarshalJSON writes the name and the members of typeFields, in their order.
func (r typeResponse) MarshalJSON() ([]byte, error) {
	out := append([]byte(`{"name":`), strconv.Quote(r.t.Name)...)
	for i := range typeFields {
		encoded, err := json.Marshal(typeFields[i].show(r.t))
		if err != nil {
			return nil, err
		}
		out = append(out, `,"`+typeFields[i].name+`":`...)
		out = append(out, encoded...)
	}
	return append(out, '}'), nil
}

// typeList is the answer to GET /type.
type typeList struct {
	Types []typeResponse `json:"types" nullable:"false" doc:"in the order of their names"`
}

// deletedType is the answer to DELETE /type/<name>.
type deletedType struct {
	Name string `json:"name" doc:"the type that is no more" example:"invoice"`
}

// putType answers PUT /type/<name> with this body.
func (a *api) putType(c *gin.Context, body []byte) error {
	t, err := a.decodeType(c.Param("name"), body)
	if err != nil {
		return err
	}
	put, created, err := a.reach.PutType(c.Request.Context(), t)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return reply(c, status, typeResponse{&put})
}

// decodeType reads a type and lists everything that is wrong with it. What is not named
// has its default, as has what is null.
func (a *api) decodeType(name string, body []byte) (task.Type, error) {
	var f faults
	t := task.Type{Name: name, MaxAttempts: 1}
	if !task.ValidTypeName(name) {
		f.add("name", "must be a lower case letter and then at most 63 of a-z, 0-9, '.', '_' and '-'")
	}
	err := readBody(body, func(member []byte, value jsontext.Value) {
		for i := range typeFields {
			if typeFields[i].name != string(member) {
				continue
			}
			if value.Kind() != 'n' {
				typeFields[i].read(value, &t, &f)
			}
			return
		}
		switch string(member) {
		case "name": // as answers show it
			if textOf(value) != name {
				f.add("name", "is not that of the path")
			}
		case "expires_in":
			if value.Kind() != 'n' {
				f.add("expires_in", "is not supported yet")
			}
		default:
			f.add(shorten(string(member)), "is not known")
		}
	})
	if err != nil {
		return t, err
	}
	switch {
	case t.Handler != "":
	case task.Ships(name):
		t.Handler = task.Builtin
	default:
		f.add("handler", "is required")
	}
	a.checkType(&t, &f)
	return t, f.err()
}

// checkType looks at what concerns several members.
func (a *api) checkType(t *task.Type, f *faults) {
	ships := task.Ships(t.Name)
	switch {
	case ships && t.Handler != task.Builtin:
		f.add("handler", "must be builtin: the type ships")
	case !ships && t.Handler == task.Builtin:
		f.add("handler", "is builtin for the types that ship alone")
	case t.Handler == task.WebhookHandler && t.Webhook == nil:
		f.add("webhook", "is required for the handler webhook")
	case t.Handler != task.WebhookHandler && t.Webhook != nil:
		f.add("webhook", "is for the handler webhook alone")
	}
	for _, fault := range a.checkDefinition(*t) {
		f.add(fault.Field, fault.Message)
	}
}

// getType answers GET /type/<name>.
func (a *api) getType(c *gin.Context) error {
	t, err := a.reach.GetType(c.Request.Context(), c.Param("name"))
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, typeResponse{&t})
}

// listTypes answers GET /type.
func (a *api) listTypes(c *gin.Context) error {
	types, err := a.reach.AllTypes(c.Request.Context())
	if err != nil {
		return err
	}
	body := typeList{Types: make([]typeResponse, len(types))}
	for i := range types {
		body.Types[i] = typeResponse{&types[i]}
	}
	return reply(c, http.StatusOK, body)
}

// deleteType answers DELETE /type/<name>.
func (a *api) deleteType(c *gin.Context) error {
	name := c.Param("name")
	if err := a.reach.DeleteType(c.Request.Context(), name); err != nil {
		return err
	}
	return reply(c, http.StatusOK, deletedType{name})
}
