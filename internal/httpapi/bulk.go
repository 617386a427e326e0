package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxBatch is how many tasks a batch may have.
	maxBatch = 1000
	// maxBatchBody is the largest body of a batch, in bytes.
	maxBatchBody = 8 << 20
)

// newBatch documents the body of POST /task/batch.
type newBatch struct {
	Tasks []newTask `json:"tasks" nullable:"false" minItems:"1" maxItems:"1000" doc:"what to create; each payload may have 256 KiB"`
}

// createdBatch is the answer to POST /task/batch.
type createdBatch struct {
	TaskIDs []string `json:"task_ids" nullable:"false" format:"uuid" doc:"the tasks' ids, in the order of the request"`
}

// createBulk answers POST /task/batch with this body. It is carried out whole or
// not at all, whether or not the client still waits.
func (a *api) createBulk(c *gin.Context, body []byte) error {
	key, drafts, err := a.decodeBatch(body, c.Request.Header[keyHeader])
	if err != nil {
		return err
	}
	ids, err := a.tasks.CreateBulk(context.WithoutCancel(c.Request.Context()), key, drafts)
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
func (a *api) decodeBatch(body []byte, keys []string) (key string, drafts []task.Draft, err error) {
	object, err := checkObject(body)
	if err != nil {
		return "", nil, err
	}
	var f faults
	var tasks json.RawMessage
	for member, value := range members(object) {
		if string(member) == "tasks" {
			tasks = value
		} else {
			f.add(shorten(string(member)), "is not known")
		}
	}
	switch {
	case tasks == nil:
		f.add("tasks", "is required")
	case tasks[0] != '[':
		f.add("tasks", "must be an array")
	default:
		drafts = a.readTasks(tasks, &f)
	}
	key = readKey(keys, &f)
	return key, drafts, f.err()
}

func (a *api) readTasks(array []byte, f *faults) []task.Draft {
	var drafts []task.Draft
	for item := range elements(array) {
		if len(drafts) == maxBatch {
			f.add("tasks", "must not be more than "+strconv.Itoa(maxBatch))
			return drafts
		}
		drafts = append(drafts, a.readItem(item, len(drafts), f))
	}
	if len(drafts) == 0 {
		f.add("tasks", "must not be empty")
	}
	return drafts
}

// readItem reads the task at index i of a batch.
func (a *api) readItem(item json.RawMessage, i int, f *faults) task.Draft {
	if item[0] != '{' {
		f.add(itemPath(i), "must be an object")
		return task.Draft{}
	}
	known := len(f.list)
	draft := a.readTask(item, f)
	for j := known; j < len(f.list); j++ {
		f.list[j].Field = itemPath(i) + "." + f.list[j].Field
	}
	return draft
}

func itemPath(i int) string { return "tasks[" + strconv.Itoa(i) + "]" }
