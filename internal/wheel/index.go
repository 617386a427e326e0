package wheel

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/internal/task"
)

// Index gives tasks their due times, whether or not it had them (T6).
func (w *Wheel) Index(ctx context.Context, tasks []task.Due) error {
	_, err := w.index(ctx, "set", tasks)
	return err
}

// Repair adds those tasks that the index lost: neither due nor claimed. It
// returns how many.
func (w *Wheel) Repair(ctx context.Context, tasks []task.Due) (int, error) {
	return w.index(ctx, "repair", tasks)
}

func (w *Wheel) index(ctx context.Context, mode string, tasks []task.Due) (int, error) {
	byShard := make([][]any, len(w.shards))
	for _, t := range tasks {
		shard := shardOf(t.ID, len(w.shards))
		byShard[shard] = append(byShard[shard], micros(t.At), t.ID.String())
	}
	return w.indexPairs(ctx, mode, "abs", byShard)
}

// indexPairs takes the times and ids of each shard.
func (w *Wheel) indexPairs(ctx context.Context, mode, base string, byShard [][]any) (total int, err error) {
	for shard, pairs := range byShard {
		for len(pairs) > 0 {
			n := min(len(pairs), 2*page)
			keys := w.shards[shard]
			args := append([]any{mode, base}, pairs[:n]...)
			added, err := indexScript.Run(ctx, w.client, keys.all(), args...).Int()
			if err != nil {
				return total, fmt.Errorf("index tasks: %w", err)
			}
			total += added
			pairs = pairs[n:]
		}
	}
	return total, nil
}

// IndexIn makes tasks due after a wait by Redis' clock.
func (w *Wheel) IndexIn(ctx context.Context, tasks []task.DueIn) error {
	byShard := make([][]any, len(w.shards))
	for _, t := range tasks {
		shard := shardOf(t.ID, len(w.shards))
		byShard[shard] = append(byShard[shard], max(0, t.Delay).Microseconds(), t.ID.String())
	}
	_, err := w.indexPairs(ctx, "set", "rel", byShard)
	return err
}

// Remove drops tasks from the index. They will not run; a claim that is under
// way is left to be refused by the start.
func (w *Wheel) Remove(ctx context.Context, ids []task.ID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.ZRem(ctx, w.keysOf(id).due, id.String())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove tasks: %w", err)
	}
	return nil
}

// Scan calls f with the ids of all that is due in any shard, page by page. A
// task that stays in the index throughout is seen at least once. Members that
// are no task ids were put there by hand; they are dropped.
func (w *Wheel) Scan(ctx context.Context, f func([]task.ID) error) error {
	for _, keys := range w.shards {
		var cursor uint64
		for {
			members, next, err := w.client.ZScan(ctx, keys.due, cursor, "", page).Result()
			if err != nil {
				return fmt.Errorf("scan due tasks: %w", err)
			}
			var ids []task.ID
			var strays []any
			for i := 0; i < len(members); i += 2 {
				id, err := uuid.Parse(members[i])
				if err != nil || id.String() != members[i] {
					strays = append(strays, members[i])
				} else {
					ids = append(ids, id)
				}
			}
			if len(strays) > 0 {
				if err := w.client.ZRem(ctx, keys.due, strays...).Err(); err != nil {
					return fmt.Errorf("drop members that are no tasks: %w", err)
				}
			}
			if err := f(ids); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// Size is how many tasks are due or will be, in all shards.
func (w *Wheel) Size(ctx context.Context) (int64, error) {
	var total int64
	for _, keys := range w.shards {
		n, err := w.client.ZCard(ctx, keys.due).Result()
		if err != nil {
			return 0, fmt.Errorf("count due tasks: %w", err)
		}
		total += n
	}
	return total, nil
}
