package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

const matchHeader, noneMatchHeader = "If-Match", "If-None-Match"

// etagOf is the strong entity tag of a representation: it is another one for other bytes.
func etagOf(representation []byte) string {
	sum := sha256.Sum256(representation)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// replyTask answers with a task and its tag.
func replyTask(c *gin.Context, status int, t *task.Task) error {
	encoded, err := json.Marshal(taskResponse{t})
	if err != nil {
		return fmt.Errorf("encode a task: %w", err)
	}
	c.Header("ETag", etagOf(encoded))
	c.Data(status, "application/json", encoded)
	return nil
}

// precondition is what If-Match asks for. The zero value is none.
type precondition struct {
	given, any bool
	tags       []string // strong ones
}

// readMatch reads the values of the header If-Match: a list of tags, or * for any task that is
// there. A weak tag matches none.
func readMatch(values []string, f *faults) (p precondition) {
	if len(values) == 0 {
		return p
	}
	p.given = true
	rest := strings.Join(values, ",")
	if strings.Trim(rest, " \t") == "*" {
		p.any = true
		return p
	}
	tags := 0
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		opaque, weak := strings.CutPrefix(rest, "W/")
		end := -1
		if strings.HasPrefix(opaque, `"`) {
			end = strings.IndexByte(opaque[1:], '"')
		}
		if end < 0 {
			tags = 0
			break
		}
		tags++
		if !weak {
			p.tags = append(p.tags, opaque[:end+2])
		}
		if rest = strings.TrimLeft(opaque[end+2:], " \t"); rest != "" && rest[0] != ',' {
			tags = 0
			break
		}
	}
	if tags == 0 {
		f.add(matchHeader, `must be * or a list of entity tags, such as "a1b2"`)
	}
	return p
}

// check answers task.ErrPrecondition for a task that is not as the request expects it.
func (p precondition) check(t *task.Task) error {
	if !p.given || p.any {
		return nil
	}
	encoded, err := json.Marshal(taskResponse{t})
	if err != nil {
		return fmt.Errorf("encode a task: %w", err)
	}
	tag := etagOf(encoded)
	for _, known := range p.tags {
		if known == tag {
			return nil
		}
	}
	return task.ErrPrecondition
}
