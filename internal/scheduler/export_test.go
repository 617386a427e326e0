package scheduler

// What the tests reckon with.
const (
	RedisRetryInterval = redisRetryInterval
	BulkLanes          = bulkLanes
)

// Pending is how many creates wait to be handed to Postgres.
func (s *Scheduler) Pending() int { return s.creates.Pending() }
