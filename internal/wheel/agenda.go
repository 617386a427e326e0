package wheel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/internal/task"
)

// watchTerm is how long one worker is the one that waits for what comes next, without
// asking again.
const watchTerm = 800 * time.Millisecond

// Next settles the types that a worker has looked at, and says which are to be looked at
// now and which comes next, by Redis' clock. Of each group of workers one watches: it
// comes when the wait is over, is woken if something comes before that, and asks again
// within a term of 800 ms. One stands by, and takes over what the first leaves.
func (w *Wheel) Next(ctx context.Context, ask task.Ask) (task.Agenda, error) {
	args := []any{
		w.names.wake, ask.Worker.String(), ask.Group, ask.Load, watchTerm.Microseconds(), bars(ask.Left), len(ask.Settled),
	}
	for _, s := range ask.Settled {
		wait := int64(-1)
		if s.Wait >= 0 {
			wait = s.Wait.Microseconds()
		}
		args = append(args, s.Type, s.Mark, wait)
	}
	for _, name := range ask.Types {
		args = append(args, name)
	}
	reply, err := w.do(ctx, nextScript, []string{w.names.agenda, w.names.marks, w.names.watch}, args...).Slice()
	if err != nil {
		return task.Agenda{}, fmt.Errorf("ask what comes next: %w", err)
	}
	return parseAgenda(reply)
}

// bars puts each name between two bars, so that a script finds it as text.
func bars(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "|" + strings.Join(names, "|") + "|"
}

func parseAgenda(reply []any) (a task.Agenda, err error) {
	if len(reply)%3 != 1 {
		return a, fmt.Errorf("ask what comes next: the reply has %d parts", len(reply))
	}
	a.Watching, a.StandingBy = reply[0] == int64(1), reply[0] == int64(2)
	for part := range slices.Chunk(reply[1:], 3) {
		name, ok := part[0].(string)
		wait, ok2 := part[1].(int64)
		mark, ok3 := part[2].(int64)
		if !ok || !ok2 || !ok3 {
			return a, errors.New("ask what comes next: the reply has parts of the wrong type")
		}
		a.Entries = append(a.Entries, task.Entry{Type: name, Wait: max(0, microseconds(wait)), Mark: mark})
	}
	return a, nil
}

// Leave ends the watch of a worker that claims no more.
func (w *Wheel) Leave(ctx context.Context, worker uuid.UUID, group string) error {
	err := w.do(ctx, leaveScript, []string{w.names.watch}, w.names.wake, worker.String(), group).Err()
	if err != nil {
		return fmt.Errorf("leave the watch: %w", err)
	}
	return nil
}

// Wake calls f, until ctx ends, with each type that is to be looked at before all that
// was known, if the worker is the one of its group that watches; and with the zero Entry
// when the worker has to ask: nobody watches, or messages may have been missed, as at
// each (re)connection. It calls typesChanged when a task type was changed,
// and cancels with a session of which a task is to be cancelled.
func (w *Wheel) Wake(
	ctx context.Context, worker uuid.UUID, group string, f func(task.Entry), typesChanged func(), cancels func(session string),
) {
	sub := w.client.Subscribe(ctx, w.names.wake)
	defer sub.Close()
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(1000))
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-messages:
			if !open {
				return
			}
			message, ok := event.(*redis.Message)
			if !ok {
				f(task.Entry{})
				continue
			}
			if message.Payload == typesMessage {
				typesChanged()
				continue
			}
			if session, is := strings.CutPrefix(message.Payload, cancelMessage); is {
				cancels(session)
				continue
			}
			if entry, concerned := parseWake(message.Payload, worker.String(), group); concerned {
				f(entry)
			}
		}
	}
}

// typesMessage is published when a task type was changed.
const typesMessage = "types"

// TypesChanged tells the workers that a task type was changed.
func (w *Wheel) TypesChanged(ctx context.Context) error {
	if err := w.client.Publish(ctx, w.names.wake, typesMessage).Err(); err != nil {
		return fmt.Errorf("tell of a changed type: %w", err)
	}
	return nil
}

// cancelMessage, and the session after it, is published when a task is to be cancelled. A worker
// of an older version asks what comes next, and no more. No type's name has a capital letter.
const cancelMessage = "CANCEL "

// CancelRequested tells the worker of a session that a task that it runs is to be cancelled.
func (w *Wheel) CancelRequested(ctx context.Context, session uuid.UUID) error {
	if err := w.client.Publish(ctx, w.names.wake, cancelMessage+session.String()).Err(); err != nil {
		return fmt.Errorf("tell a worker of what is to be cancelled: %w", err)
	}
	return nil
}

// parseWake reads what lua/wake.lua writes. It is the zero Entry if the worker has to ask.
func parseWake(message, worker, group string) (entry task.Entry, concerned bool) {
	parts := strings.Fields(message)
	if len(parts) < 3 {
		return entry, true
	}
	for named := parts[3:]; len(named) >= 2; named = named[2:] {
		if named[0] == group && named[1] != worker {
			return entry, false
		}
		if named[0] != group {
			continue
		}
		wait, err := strconv.ParseInt(parts[1], 10, 64)
		mark, err2 := strconv.ParseInt(parts[2], 10, 64)
		if err != nil || err2 != nil {
			return entry, true
		}
		return task.Entry{Type: parts[0], Wait: max(0, microseconds(wait)), Mark: mark}, true
	}
	return entry, true
}
