package scheduler

import "context"

// The loops, one round of each.

// Turn is one tick, and the audit that it may have begun.
func (k *Keeper) Turn(ctx context.Context) error {
	err := k.turn(ctx)
	k.audits.Wait()
	return err
}

func (k *Keeper) Revive(ctx context.Context) error { return k.revive(ctx) }
func (k *Keeper) Reap(ctx context.Context) error   { return k.reap(ctx) }
func (k *Keeper) Retain(ctx context.Context) error { return k.retain(ctx) }

// What the tests reckon with.
const (
	PageSize     = pageSize
	TurnTerm     = turnTerm
	RingHoliday  = ringHoliday
	BatchLanes   = batchLanes
	OverduePages = overduePages
)

// Pending is how many creates wait to be handed to Postgres.
func (s *Scheduler) Pending() int { return s.creates.Pending() }
