package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxBatch is how many tasks a bulk create may have.
	maxBatch = 1000
	// maxBatchBody is the largest body of a bulk create, in bytes.
	maxBatchBody = 8 << 20
)

// createdBatch is the answer to POST /task/batch.
type createdBatch struct {
	TaskIDs []string `json:"task_ids" nullable:"false" format:"uuid" doc:"the tasks' ids, in the order of the request"`
}

// createBulk answers POST /task/batch with this body. It is carried out whole or
// not at all.
func (a *api) createBulk(c *gin.Context, body []byte) error {
	key, drafts, err := a.decodeBatch(c.Request.Context(), body, c.Request.Header[keyHeader])
	if err != nil {
		return err
	}
	ids, err := a.reach.CreateBulk(c.Request.Context(), key, drafts)
	if err != nil {
		return err
	}
	c.Data(http.StatusCreated, "application/json", encodeIDs(ids))
	return nil
}

// encodeIDs writes a createdBatch. IDs need no escaping.
func encodeIDs(ids []task.ID) []byte {
	const frame, each = len(`{"task_ids":[]}`), len(`"00000000-0000-0000-0000-000000000000",`)
	encoded := make([]byte, 0, frame+each*len(ids))
	encoded = append(encoded, `{"task_ids":[`...)
	for i, id := range ids {
		if i > 0 {
			encoded = append(encoded, ',')
		}
		encoded = append(encoded, '"')
		encoded = append(encoded, id.String()...)
		encoded = append(encoded, '"')
	}
	return append(encoded, `]}`...)
}

// decodeBatch reads the body and the key of POST /task/batch, and lists
// everything that is wrong with any of the tasks.
func (a *api) decodeBatch(ctx context.Context, body []byte, keys []string) (key string, drafts []task.Draft, err error) {
	var f faults
	var tasks jsontext.Value
	err = readBody(body, func(name []byte, value jsontext.Value) {
		if string(name) == "tasks" {
			tasks = value
		} else {
			f.add(shorten(string(name)), "is not known")
		}
	})
	switch {
	case err != nil:
		return "", nil, err
	case tasks == nil:
		f.add("tasks", "is required")
	case tasks.Kind() != '[':
		f.add("tasks", "must be an array")
	default:
		drafts = a.readTasks(ctx, tasks, &f)
	}
	key = readKey(keys, &f)
	return key, drafts, f.err()
}

func (a *api) readTasks(ctx context.Context, array jsontext.Value, f *faults) []task.Draft {
	var drafts []task.Draft
	members := a.newMembers(ctx, f)
	readElements(array, func(d *jsontext.Decoder) bool {
		if len(drafts) == maxBatch {
			f.add("tasks", "must not be more than "+strconv.Itoa(maxBatch))
			return false
		}
		known := len(f.list)
		i := len(drafts)
		drafts = append(drafts, task.Draft{})
		if !members.readItem(d, array, &drafts[i]) {
			f.add(itemPath(i), "must be an object")
			known++
		}
		for j := known; j < len(f.list); j++ {
			f.list[j].Field = itemPath(i) + "." + f.list[j].Field
		}
		return true
	})
	if len(drafts) == 0 {
		f.add("tasks", "must not be empty")
	}
	return drafts
}

// readItem reads the value that comes next in an array into an empty draft. It is false
// if that is no object.
func (m *taskMembers) readItem(d *jsontext.Decoder, array jsontext.Value, draft *task.Draft) bool {
	if d.PeekKind() != '{' {
		_ = d.SkipValue() // read before, without a fault
		return false
	}
	clear(m.raw)
	if err := readMembers(d, array, m.take); err != nil {
		return false
	}
	m.fill(draft)
	return true
}

func itemPath(i int) string { return "tasks[" + strconv.Itoa(i) + "]" }
