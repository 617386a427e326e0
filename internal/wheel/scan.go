package wheel

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/internal/task"
)

// Types lists the types of which something is known to be due or to be claimed.
func (w *Wheel) Types(ctx context.Context) ([]string, error) {
	types, err := w.client.ZRange(ctx, w.names.agenda, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list the types of the agenda: %w", err)
	}
	return types, nil
}

// Size is how many tasks of these types are due or will be.
func (w *Wheel) Size(ctx context.Context, types []string) (total int64, err error) {
	cards := make([]*redis.IntCmd, len(types))
	_, err = w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range types {
			cards[i] = p.ZCard(ctx, w.names.ring(name).due)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count due tasks: %w", err)
	}
	for _, card := range cards {
		total += card.Val()
	}
	return total, nil
}

// Scan calls f with all that is due in the ring of a type, page by page. A task that
// stays in the index throughout is seen at least once. Members that are no task ids were
// put there by hand; they are dropped.
func (w *Wheel) Scan(ctx context.Context, taskType string, f func([]task.ID) error) error {
	due := w.names.ring(taskType).due
	for cursor := uint64(0); ; {
		members, next, err := w.client.ZScan(ctx, due, cursor, "", page).Result()
		if err != nil {
			return fmt.Errorf("scan due tasks: %w", err)
		}
		var ids []task.ID
		var strays []any
		for i := 0; i < len(members); i += 2 {
			if id, ok := parseID(members[i]); ok {
				ids = append(ids, id)
			} else {
				strays = append(strays, members[i])
			}
		}
		if len(strays) > 0 {
			if err := w.client.ZRem(ctx, due, strays...).Err(); err != nil {
				return fmt.Errorf("drop members that are no tasks: %w", err)
			}
		}
		if err := f(ids); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func parseID(member string) (task.ID, bool) {
	id, err := uuid.Parse(member)
	return id, err == nil && id.String() == member
}

// dropRings removes all rings and the agenda.
func (w *Wheel) dropRings(ctx context.Context) error {
	err := w.eachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		keys := master.Scan(ctx, 0, w.names.rings(), page).Iterator()
		for keys.Next(ctx) {
			if !ringKey.MatchString(keys.Val()[len(w.names.prefix):]) {
				continue
			}
			if err := master.Unlink(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	})
	if err == nil {
		err = w.client.Unlink(ctx, w.names.agenda, w.names.marks).Err()
	}
	if err != nil {
		return fmt.Errorf("drop the rings of another installation: %w", err)
	}
	return nil
}

// eachMaster calls f for each server that takes writes, at the same time.
func (w *Wheel) eachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	switch client := w.client.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, f)
	case *redis.Client:
		return f(ctx, client)
	}
	return fmt.Errorf("a client of type %T", w.client)
}
