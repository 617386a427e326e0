package maintenance

import (
	"context"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// expirePages bounds one tick's look.
const expirePages = 20

// expireWhenLeading ends tasks that are too late to start (T9), if this node leads. Workers do
// so with those that they claim: here it is for what nobody claims.
func (m *Maintainer) expireWhenLeading(ctx context.Context) error {
	if !m.leads.Load() {
		return nil
	}
	for range expirePages {
		expired, more, err := m.store.Expire(ctx, pageSize)
		if err == nil {
			err = m.expired(ctx, expired)
		}
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return m.expireByType(ctx)
}

// expireByType looks at all that is overdue, in turns that take a tenth of the time, as
// repairOverdue does.
func (m *Maintainer) expireByType(ctx context.Context) error {
	if time.Now().Before(m.expirePause) {
		return nil
	}
	start := time.Now()
	for range expirePages {
		expired, next, more, err := m.store.ExpireByType(ctx, m.expiring, pageSize)
		if err == nil {
			err = m.expired(ctx, expired)
		}
		if err != nil {
			return err
		}
		if m.expiring = next; !more {
			m.expiring = task.Due{}
			break
		}
	}
	m.expirePause = time.Now().Add(9 * time.Since(start))
	return nil
}

func (m *Maintainer) expired(ctx context.Context, expired []task.Ref) error {
	if len(expired) == 0 {
		return nil
	}
	m.metrics.expired.Add(float64(len(expired)))
	m.log.Info("tasks were too late to start", "tasks", len(expired))
	return m.index.Remove(ctx, expired)
}
