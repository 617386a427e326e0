package wheel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Lead takes or renews the lead of this node for the time of term; leads is false while
// another node has it. An indexedUntil that is not zero reports that all that is due up
// to then is in the due index. Built is how far the index is built, by whomever, and zero
// if it must be built from the beginning, because Redis lost it.
func (w *Wheel) Lead(
	ctx context.Context, node uuid.UUID, term, horizon time.Duration, indexedUntil time.Time,
) (leads bool, built time.Time, err error) {
	report := ""
	if !indexedUntil.IsZero() {
		report = strconv.FormatInt(indexedUntil.UnixMicro(), 10)
	}
	reply, err := w.do(ctx, leadScript, []string{w.names.epoch},
		node.String(), term.Microseconds(), horizon.Microseconds(), report,
		w.installation, takeOver.Microseconds()).Slice()
	if err != nil {
		return false, time.Time{}, fmt.Errorf("ask for the lead: %w", err)
	}
	answer, built, err := parseLead(reply)
	switch {
	case err != nil:
	case answer == foreign:
		err = ErrForeign
	case answer == taken:
		// What the other installation left is nothing to this one.
		err = w.dropRings(ctx)
	}
	return answer == leading || answer == taken, built, err
}

// takeOver is how long after the last sign of another installation this one takes
// the names in Redis over.
const takeOver = time.Minute

// The answers of the script.
const (
	foreign = -1 // another installation has these names
	leading = 1
	taken   = 2 // granted, and the names were another installation's
)

// ErrForeign says that another installation of timewheel, with a database of its
// own, uses the same names in Redis.
var ErrForeign = errors.New("redis serves another installation of timewheel under this REDIS_PREFIX: give each one its own")

func parseLead(reply []any) (answer int64, built time.Time, err error) {
	if len(reply) != 2 {
		return 0, time.Time{}, fmt.Errorf("ask for the lead: reply has %d parts", len(reply))
	}
	answer, ok := reply[0].(int64)
	indexed, ok2 := reply[1].(string)
	if !ok || !ok2 {
		return 0, time.Time{}, errors.New("ask for the lead: reply has parts of the wrong type")
	}
	// What does not parse was edited by hand: the index is built again.
	if at, err := strconv.ParseInt(indexed, 10, 64); err == nil {
		built = time.UnixMicro(at).UTC()
	}
	return answer, built, nil
}

// LastAudit is which run of Redis was audited last, and how long ago; the run is
// empty if none was.
func (w *Wheel) LastAudit(ctx context.Context) (run string, ago time.Duration, err error) {
	var noted *redis.SliceCmd
	var now *redis.TimeCmd
	_, err = w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		noted = p.HMGet(ctx, w.names.epoch, "audited_run", "audited_at")
		now = p.Time(ctx)
		return nil
	})
	if err != nil {
		return "", 0, fmt.Errorf("ask for the last audit: %w", err)
	}
	values := noted.Val()
	run, _ = values[0].(string)
	text, _ := values[1].(string)
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", 0, nil //nolint:nilerr // nothing was noted, or something by hand
	}
	return run, now.Val().Sub(time.UnixMicro(at)), nil
}

// NoteAudit notes that this run of Redis was audited now.
func (w *Wheel) NoteAudit(ctx context.Context, run string) error {
	now, err := w.client.Time(ctx).Result()
	if err == nil {
		err = w.client.HSet(ctx, w.names.epoch, "audited_run", run, "audited_at", now.UnixMicro()).Err()
	}
	if err != nil {
		return fmt.Errorf("note an audit: %w", err)
	}
	return nil
}
