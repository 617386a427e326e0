package wheel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// UnusableError says that Redis answers, and can not be used as it is.
type UnusableError struct {
	Reason string
	// Full is whether there is no room in it. What it holds can be claimed all the same.
	Full bool
}

func (e *UnusableError) Error() string { return "redis " + e.Reason }

// Check runs a script that writes, as all work does. The error is an *UnusableError
// if Redis answers and refuses it, or ErrForeign if it serves another installation;
// any other one says that Redis is away.
func (w *Wheel) Check(ctx context.Context) error {
	reply, err := w.do(ctx, checkScript, []string{w.names.epoch}).Slice()
	if err != nil {
		return explain(err)
	}
	owner, _ := reply[0].(string)
	ago, _ := reply[1].(int64)
	if w.installation != "" && owner != "" && owner != w.installation && time.Duration(ago)*time.Microsecond < takeOver {
		return ErrForeign
	}
	return nil
}

// Missing lists what this user of Redis may not do although it would help, each in a
// sentence.
func (w *Wheel) Missing(ctx context.Context) []string {
	var missing []string
	if err := w.client.Info(ctx, "server").Err(); isRefusal(err, "NOPERM") {
		missing = append(missing, "INFO is not permitted, so a restart of Redis with older data is not noticed: permit +info")
	}
	err := w.client.Publish(ctx, w.names.wake, "").Err()
	if err == nil {
		subscription := w.client.Subscribe(ctx, w.names.wake)
		_, err = subscription.Receive(ctx)
		err = errors.Join(err, subscription.Close())
	}
	if isRefusal(err, "NOPERM") {
		missing = append(missing, "the channels "+w.names.prefix+":* are not permitted, so a task that is due at once may start"+
			" a fifth of a second late: permit &"+w.names.prefix+":* +publish +subscribe")
	}
	return missing
}

// explain tells a Redis that is away from one that cannot be used.
func explain(err error) error {
	for prefix, reason := range map[string]string{
		"MOVED":       "is a node of a Redis Cluster: say redis+cluster:// in REDIS_URL",
		"CROSSSLOT":   "is a node of a Redis Cluster: say redis+cluster:// in REDIS_URL",
		"READONLY":    "is a replica, which takes no writes: name the master in REDIS_URL",
		"NOAUTH":      "wants a user or a password: put them into REDIS_URL, or into REDIS_PASSWORD",
		"WRONGPASS":   "does not know this user and password",
		"NOPERM":      "does not permit this user what is needed: permit ~PREFIX:* &PREFIX:* +@all -@dangerous +info",
		"ERR unknown": "does not know scripts: it may be a Sentinel, for which REDIS_URL says redis+sentinel://",
		"DENIED":      "is in protected mode: give it a password",
		"OOM":         "is full and takes nothing new: raise its maxmemory",
	} {
		if isRefusal(err, prefix) {
			return &UnusableError{Reason: reason, Full: prefix == "OOM"}
		}
	}
	if strings.Contains(fmt.Sprint(err), "READONLY") { // of a script, in older versions
		return &UnusableError{Reason: "is a replica, which takes no writes: name the master in REDIS_URL"}
	}
	return fmt.Errorf("redis does not answer: %w", err)
}
