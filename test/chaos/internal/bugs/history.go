package bugs

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

//go:embed park.sql
var parkSQL string

// parkCreates parks creates after they have looked around and before their rows stand anywhere,
// and cuts their clients, which try again: the parked copy goes on when the task of the
// other one has ended and moved.
func parkCreates(ctx context.Context, r *rig.Rig) error {
	if _, err := r.DB.Exec(ctx, parkSQL); err != nil {
		return err
	}
	err := every(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		var waiting bool
		err := r.DB.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'
			               AND clock_timestamp() - query_start < interval '100 milliseconds')`).Scan(&waiting)
		if waiting {
			r.PostgresProxy.Cut()
		}
		return err
	})
	_, dropErr := r.DB.Exec(context.WithoutCancel(ctx), `DROP TRIGGER park ON tasks_open`)
	return errors.Join(err, dropErr)
}
