package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"golang.org/x/sync/singleflight"

	"github.com/timewheel/timewheel/internal/task"
)

// count is a number of tasks: exact up to task.MaxCount, and more beyond.
type count int

// MarshalJSON writes a number, or a text such as "10000+".
func (n count) MarshalJSON() ([]byte, error) {
	if n > task.MaxCount {
		return []byte(`"` + manyTasks + `"`), nil
	}
	return strconv.AppendInt(nil, int64(n), 10), nil
}

var manyTasks = strconv.Itoa(task.MaxCount) + "+"

// Schema implements huma.SchemaProvider.
func (count) Schema(huma.Registry) *huma.Schema {
	most := float64(task.MaxCount)
	return &huma.Schema{
		OneOf:    []*huma.Schema{{Type: huma.TypeInteger, Minimum: number(0), Maximum: &most}, {Type: huma.TypeString, Enum: []any{manyTasks}}},
		Examples: []any{12, manyTasks},
	}
}

// stats is the answer to GET /stats.
type stats struct {
	AsOf          string                `json:"as_of" format:"date-time" doc:"the moment of the counts"`
	Types         map[string]typeCounts `json:"types" doc:"the types that have tasks"`
	Overdue       *count                `json:"overdue,omitempty" doc:"what is due and has not started; this and what follows are absent for a key that is bound to types"`
	OldestOverdue *string               `json:"oldest_overdue" format:"date-time" doc:"when the first of it was due, or null"`
	Due           *dueCounts            `json:"due,omitempty" doc:"what falls due within so long; each count includes the ones before"`
}

type typeCounts struct {
	Submitted count `json:"submitted"`
	Started   count `json:"started_executing"`
	Done      count `json:"done"`
	Failed    count `json:"failed"`
	Deleted   count `json:"deleted"`
}

type dueCounts struct {
	Minute count `json:"minute"`
	Hour   count `json:"hour"`
	Day    count `json:"day"`
}

// stats answers GET /stats.
func (a *api) stats(c *gin.Context) error {
	if c.Request.URL.RawQuery != "" {
		return invalidFields(FieldError{"query", "is not known; there are no parameters"})
	}
	s, whole, err := a.reach.Stats(c.Request.Context())
	if err != nil {
		return err
	}
	body := stats{AsOf: formatTime(s.At), Types: make(map[string]typeCounts, len(s.Types))}
	if whole {
		overdue := count(s.Overdue)
		body.Overdue, body.OldestOverdue = &overdue, timeOrNil(s.OldestOverdue)
		body.Due = &dueCounts{Minute: count(s.DueIn.Minute), Hour: count(s.DueIn.Hour), Day: count(s.DueIn.Day)}
	}
	for name, n := range s.Types {
		body.Types[name] = typeCounts{
			Submitted: count(n[task.Submitted]), Started: count(n[task.Started]),
			Done: count(n[task.Done]), Failed: count(n[task.Failed]), Deleted: count(n[task.Deleted]),
		}
	}
	return reply(c, http.StatusOK, body)
}

// counts are shared by those who ask at once. While they take long to make, as with thousands
// of types, they are also kept for some time, so that asking often costs no more.
type counts struct {
	flight singleflight.Group
	mu     sync.Mutex
	last   task.Stats
	until  time.Time // when they are too old
}

const (
	// slowCounts is what counts may take without being kept.
	slowCounts = 50 * time.Millisecond
	// keepCounts is for how many times as long as they took they are kept.
	keepCounts = 20
)

func (k *counts) get(ctx context.Context, count func(context.Context) (task.Stats, error)) (task.Stats, error) {
	k.mu.Lock()
	last, fresh := k.last, time.Now().Before(k.until)
	k.mu.Unlock()
	if fresh {
		return last, nil
	}
	made := k.flight.DoChan("", func() (any, error) {
		start := time.Now()
		s, err := count(context.WithoutCancel(ctx))
		if took := time.Since(start); err == nil && took > slowCounts {
			k.mu.Lock()
			k.last, k.until = s, time.Now().Add(keepCounts*took)
			k.mu.Unlock()
		}
		return s, err
	})
	select {
	case <-ctx.Done():
		return task.Stats{}, ctx.Err()
	case result := <-made:
		s, _ := result.Val.(task.Stats)
		return s, result.Err
	}
}
