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

// watchTerm is how long one worker is the one that waits for the next due time,
// without asking again.
const watchTerm = 300 * time.Millisecond

// Claim takes at most limit tasks of a shard that are due by Redis' clock (T1).
// They are the caller's for the time of lapse; then they are handed out again
// unless they were released. With none due, next is how long it takes until the
// first one is; negative if no task is known. One worker watches for all: it comes
// when that is over, is woken if a task comes that is due before, and asks again
// within a term of 300 ms. One with less load, which is the number of tasks it has in
// hand, takes the watch over.
func (w *Wheel) Claim(
	ctx context.Context, shard int, worker uuid.UUID, load, limit int, lapse time.Duration,
) (ids []task.ID, next time.Duration, watching bool, err error) {
	reply, err := claimScript.Run(ctx, w.client, w.shards[shard].all(),
		min(limit, page), lapse.Microseconds(), worker.String(), watchTerm.Milliseconds(), load).Slice()
	if err != nil {
		return nil, 0, false, fmt.Errorf("claim due tasks: %w", err)
	}
	return parseClaim(reply)
}

func parseClaim(reply []any) (ids []task.ID, next time.Duration, watching bool, err error) {
	if len(reply) < 2 {
		return nil, 0, false, errors.New("claim due tasks: the reply is too short")
	}
	wait, ok := reply[0].(int64)
	watch, ok2 := reply[1].(int64)
	if !ok || !ok2 {
		return nil, 0, false, fmt.Errorf("claim due tasks: the reply begins with %T, %T", reply[0], reply[1])
	}
	if wait < 0 {
		return nil, -1, watch == 1, nil
	}
	for _, member := range reply[2:] {
		text, _ := member.(string)
		id, err := uuid.Parse(text)
		if err != nil || id.String() != text {
			// Put there by hand. It stays claimed until it lapses, and the
			// next scan of the index drops it.
			continue
		}
		ids = append(ids, id)
	}
	// A score that was put there by hand may be further than a wait can be.
	wait = min(wait, math.MaxInt64/int64(time.Microsecond))
	return ids, time.Duration(wait) * time.Microsecond, watch == 1, nil
}

// Leave ends the watch of a worker that claims no more from a shard.
func (w *Wheel) Leave(ctx context.Context, shard int, worker uuid.UUID) error {
	keys := w.shards[shard]
	err := leaveScript.Run(ctx, w.client, []string{keys.wake, keys.watch}, worker.String()).Err()
	if err != nil {
		return fmt.Errorf("leave the watch: %w", err)
	}
	return nil
}

// Release ends claims of a shard: those of dropped do not come back, while those of
// back fall due again.
func (w *Wheel) Release(ctx context.Context, shard int, dropped []task.ID, back []task.DueIn) error {
	keys := w.shards[shard]
	args := make([]any, 0, 1+len(dropped)+2*len(back))
	args = append(args, len(dropped))
	for _, id := range dropped {
		args = append(args, id.String())
	}
	for _, b := range back {
		args = append(args, max(0, b.Delay).Microseconds(), b.ID.String())
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

// Wake calls f whenever something in the shard falls due before all that was known
// and the worker is the one that watches, or nobody is; and once after each
// (re)connection, until ctx ends. Messages that come while f is busy are one.
func (w *Wheel) Wake(ctx context.Context, shard int, worker uuid.UUID, f func()) {
	sub := w.client.Subscribe(ctx, w.shards[shard].wake)
	defer sub.Close()
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(1), redis.WithChannelSendTimeout(time.Millisecond))
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-messages:
			if !open {
				return
			}
			if message, ok := event.(*redis.Message); ok && message.Payload != "" && message.Payload != worker.String() {
				continue
			}
			f()
		}
	}
}
