package maintenance

import (
	"context"
	"errors"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// operateSlice is how long an operation goes on before others get their turn.
	operateSlice = time.Second
	// operatePace is how often the leader looks for operations, as a part of a tick.
	operatePace = 4
	// operateRest is the time between two pages, as a part of what the page took: others use the
	// stores meanwhile.
	operateRest = 4
	// operateMargin is how far beyond the horizon a task is still indexed: the cascade may look
	// there before the page is committed.
	operateMargin = time.Minute
)

// operateWhenLeading carries out operations until there are none, if this node leads. Should two
// lead, each page is done by one of them.
func (m *Maintainer) operateWhenLeading(ctx context.Context) error {
	for m.leads.Load() {
		active, err := m.store.ActiveOperations(ctx)
		if err != nil || len(active) == 0 {
			return err
		}
		var failed error
		for i := range active {
			failed = errors.Join(failed, m.operate(ctx, &active[i]))
		}
		if failed != nil || ctx.Err() != nil {
			return failed
		}
	}
	return nil
}

// operate goes on with an operation for a slice of time.
func (m *Maintainer) operate(ctx context.Context, o *task.Operation) error {
	for start := time.Now(); time.Since(start) < operateSlice && ctx.Err() == nil; {
		found, err := m.store.Candidates(ctx, o)
		if err != nil {
			return err
		}
		for page := range pagesOf(found) {
			began := time.Now()
			acted, err := m.store.Operate(ctx, o, page)
			if err != nil || !acted.Moved {
				return err
			}
			if err := m.tell(ctx, acted); err != nil {
				m.log.Debug("the due index is told later what an operation did", "error", err)
			}
			if page.Last {
				m.log.Info("operation is done", "operation_id", o.ID, "action", o.Action)
				return nil
			}
			o.Before = page.Next
			if rest(ctx, time.Since(began)/operateRest) != nil || !m.leads.Load() {
				return nil
			}
		}
	}
	return nil
}

// pagesOf are the pages of what was found. What is left is known if nothing is after that.
func pagesOf(found task.Candidates) func(yield func(task.OperationPage) bool) {
	return func(yield func(task.OperationPage) bool) {
		for ids := found.IDs; ; {
			page := task.OperationPage{IDs: ids[:min(pageSize, len(ids))], Next: found.Next}
			ids = ids[len(page.IDs):]
			if found.End {
				left := int64(len(ids))
				page.Left, page.Last = &left, left == 0
			}
			if len(ids) > 0 {
				page.Next = page.IDs[len(page.IDs)-1]
			}
			if !yield(page) || len(ids) == 0 {
				return
			}
		}
	}
}

// tell updates the due index by what a page has changed. What is lost here, the repair finds.
func (m *Maintainer) tell(ctx context.Context, acted task.Acted) error {
	var ahead []task.Due
	gone := acted.Ended
	for _, due := range acted.Due {
		if due.In <= m.cfg.Horizon+operateMargin {
			ahead = append(ahead, due.Due)
		} else { // the cascade brings it
			gone = append(gone, task.Ref{ID: due.ID, Type: due.Type})
		}
	}
	err := errors.Join(m.index.Index(ctx, ahead), m.index.Remove(ctx, gone))
	for _, session := range acted.Told {
		err = errors.Join(err, m.index.CancelRequested(ctx, session))
	}
	return err
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
