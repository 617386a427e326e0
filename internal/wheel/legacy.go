package wheel

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// legacyIdle is how long after the last sign of a node of a version before rings by type
// its keys are removed.
const legacyIdle = 10 * time.Second

// DropLegacy removes what nodes of versions before rings by type left: one ring for all
// types, in numbered shards. While one of their workers lives it is theirs, and they keep
// it true to Postgres as this version keeps its own; what both claim is started once, as
// always. An API of theirs that goes on creating writes what is removed the next time, and
// its tasks are found by the repair. It is for one release.
func (w *Wheel) DropLegacy(ctx context.Context, shards int) error {
	epoch := w.names.prefix + ":epoch"
	var noted *redis.SliceCmd
	var now *redis.TimeCmd
	_, err := w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		noted = p.HMGet(ctx, epoch, "turner_until", "shards")
		now = p.Time(ctx)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for keys of an older version: %w", err)
	}
	until, split := number(noted.Val()[0]), number(noted.Val()[1])
	if time.UnixMicro(until).After(now.Val().Add(-legacyIdle)) {
		return nil
	}
	_, err = w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Unlink(ctx, epoch)
		for shard := range max(1, shards, int(min(split, 256))) {
			tagged := w.names.prefix + ":{" + strconv.Itoa(shard) + "}:"
			p.Unlink(ctx, tagged+"due", tagged+"claimed", tagged+"watch")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove keys of an older version: %w", err)
	}
	return nil
}

// number reads a field of a hash. What is none was edited by hand, and is zero.
func number(field any) int64 {
	text, _ := field.(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
