package wheel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/internal/task"
)

// Claim takes at most limit tasks of a shard that are due by Redis' clock (T1).
// They are the caller's for the time of lapse; then they are handed out again
// unless they were released. With none due, next is how long it takes until the
// first one is; negative if no task is known.
func (w *Wheel) Claim(
	ctx context.Context, shard, limit int, lapse time.Duration,
) (ids []task.ID, next time.Duration, err error) {
	keys := w.shards[shard]
	reply, err := claimScript.Run(ctx, w.client, []string{keys.due, keys.claimed},
		min(limit, page), lapse.Microseconds()).Slice()
	if err != nil {
		return nil, 0, fmt.Errorf("claim due tasks: %w", err)
	}
	return parseClaim(reply)
}

func parseClaim(reply []any) (ids []task.ID, next time.Duration, err error) {
	if len(reply) == 0 {
		return nil, 0, errors.New("claim due tasks: empty reply")
	}
	wait, ok := reply[0].(int64)
	if !ok {
		return nil, 0, fmt.Errorf("claim due tasks: reply begins with %T", reply[0])
	}
	if wait < 0 {
		return nil, -1, nil
	}
	for _, member := range reply[1:] {
		text, _ := member.(string)
		id, err := uuid.Parse(text)
		if err != nil || id.String() != text {
			// Put there by hand. It stays claimed until it lapses, and the
			// next scan of the ring drops it.
			continue
		}
		ids = append(ids, id)
	}
	// A score that was put there by hand may be further than a wait can be.
	wait = min(wait, math.MaxInt64/int64(time.Microsecond))
	return ids, time.Duration(wait) * time.Microsecond, nil
}

// Release ends claims of a shard: those of dropped for good, while those of
// back fall due again.
func (w *Wheel) Release(ctx context.Context, shard int, dropped []task.ID, back []task.Wait) error {
	keys := w.shards[shard]
	args := make([]any, 0, 1+len(dropped)+2*len(back))
	args = append(args, len(dropped))
	for _, id := range dropped {
		args = append(args, id.String())
	}
	for _, b := range back {
		args = append(args, max(0, b.In).Microseconds(), b.ID.String())
	}
	err := releaseScript.Run(ctx, w.client, []string{keys.due, keys.claimed, keys.wake}, args...).Err()
	if err != nil {
		return fmt.Errorf("release claims: %w", err)
	}
	return nil
}

// Revive makes lapsed claims due again in every shard and returns how many.
func (w *Wheel) Revive(ctx context.Context) (int, error) {
	total := 0
	for _, keys := range w.shards {
		for {
			n, err := reviveScript.Run(ctx, w.client, []string{keys.due, keys.claimed, keys.wake}, page).Int()
			if err != nil {
				return total, fmt.Errorf("revive lapsed claims: %w", err)
			}
			total += n
			if n < page {
				break
			}
		}
	}
	return total, nil
}

// Wake calls f whenever something in the shard falls due before all that was
// known, and once after each (re)connection, until ctx ends. Messages that
// come while f is busy are one.
func (w *Wheel) Wake(ctx context.Context, shard int, f func()) {
	sub := w.client.Subscribe(ctx, w.shards[shard].wake)
	defer sub.Close()
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(1), redis.WithChannelSendTimeout(time.Millisecond))
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-messages:
			if !open {
				return
			}
			f()
		}
	}
}
