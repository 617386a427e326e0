package wheel

import (
	"hash/fnv"
	"strconv"

	"github.com/timewheel/timewheel/internal/task"
)

// epochOf names the hash that says when the wheel was last built, how far, and how.
func epochOf(prefix string) string { return prefix + ":epoch" }

// shardKeys are the names of one shard. The braces are its hash tag: Redis
// Cluster keeps all of a shard in one slot, so that one script may touch it.
type shardKeys struct {
	due     string // sorted set: task id, due time in unix microseconds
	claimed string // sorted set: task id, when the claim lapses
	wake    string // channel: something became due before all else
	watch   string // string: the worker that waits for the next due time, and its load
}

func newShardKeys(prefix string, shard int) shardKeys {
	prefix += ":{" + strconv.Itoa(shard) + "}:"
	return shardKeys{due: prefix + "due", claimed: prefix + "claimed", wake: prefix + "wake", watch: prefix + "watch"}
}

// all are the keys of a script that may index.
func (k shardKeys) all() []string { return []string{k.due, k.claimed, k.wake, k.watch} }

// shardOf spreads ids evenly. The hash takes the whole id, since those of one
// moment share their beginning.
func shardOf(id task.ID, shards int) int {
	if shards == 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write(id[:])                  // a hash never fails
	return int(h.Sum32() % uint32(shards)) //nolint:gosec // both are small and positive
}
