package fault

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

const (
	// readHistory takes hold of every partition of what has ended: none can be made or
	// dropped until its transaction ends.
	readHistory = `SELECT count(*) FROM tasks_ended`
	// nextRetention is longer than the pace of retention.
	nextRetention = 15 * time.Second
)

// historyFaults are those of what has ended.
func historyFaults(c rig.Config) []Fault {
	all := []Fault{{
		Name: "somebody reads the history", Min: 2 * time.Second, Max: 8 * time.Second,
		Do: hold(readHistory), Undo: endsGoOn,
	}}
	if c.Retention == 0 {
		return all // retention has nothing to do
	}
	return append(all, Fault{Name: "kill all workers while retention waits", Do: killInRetention, Undo: release})
}

// endsGoOn releases the history once something has ended that began to be due while it was
// held, if there is anything to end.
func endsGoOn(ctx context.Context, t *Target) error {
	gone, err := rig.Wait(ctx, nextRetention, func() (gone bool, err error) {
		err = t.DB.QueryRow(ctx, `
			SELECT max(at) > clock_timestamp() - interval '1 second' OR NOT EXISTS (
				SELECT FROM tasks_open WHERE due_at < clock_timestamp() - interval '1 second')
			FROM witnessed WHERE new_status IN ('done', 'failed', 'deleted')`).Scan(&gone)
		return gone, err
	})
	if err == nil && !gone {
		err = errors.New("nothing ended while the history was read")
	}
	return errors.Join(err, release(ctx, t))
}

// killInRetention kills all workers, and with them the one that leads, when its
// retention waits for a partition that a reader holds: what it was about to do is done or
// not, and nobody hears of it.
func killInRetention(ctx context.Context, t *Target) error {
	if err := hold(readHistory)(ctx, t); err != nil {
		return err
	}
	waits, err := rig.Wait(ctx, nextRetention, func() (waits bool, err error) {
		err = t.DB.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
			               AND (query LIKE '%extend_history%' OR query LIKE '%drop_history%'))`).Scan(&waits)
		return waits, err
	})
	if err != nil || !waits {
		return err // there was nothing to make or to drop
	}
	for _, n := range t.Workers {
		err = errors.Join(err, n.Signal(syscall.SIGKILL))
	}
	return err
}
