package wheel

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/lua"
)

var (
	claimScript   = redis.NewScript(lua.Claim)
	indexScript   = redis.NewScript(lua.Index)
	releaseScript = redis.NewScript(lua.Release)
	roomScript    = redis.NewScript(lua.Room)
	markScript    = redis.NewScript(lua.Mark)
	nextScript    = redis.NewScript(lua.Next)
	leaveScript   = redis.NewScript(lua.Leave)
	leadScript    = redis.NewScript(lua.Lead)
	checkScript   = redis.NewScript(lua.Check)
)

// call is one call of a script on its way.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
	reply  *redis.Cmd
	// mark is a type and a time, which the agenda has to learn after the call, or nil.
	mark []any
}

// do carries out one call of a script.
func (w *Wheel) do(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	c := &call{script: script, keys: keys, args: args}
	_ = w.run(ctx, c) // which is that of the reply
	return c.reply
}

// run carries out calls in one round trip, in order if they concern one server. Each has
// its own reply; the error is the first that there was.
func (w *Wheel) run(ctx context.Context, calls ...*call) error {
	err := w.runOnce(ctx, calls)
	var refusal redis.Error
	if cluster, ok := w.client.(*redis.ClusterClient); ok && err != nil && !errors.As(err, &refusal) {
		// A node may be gone for good. The client would find its heir after a minute.
		cluster.ReloadState(ctx)
	}
	return err
}

func (w *Wheel) runOnce(ctx context.Context, calls []*call) error {
	if len(calls) == 1 {
		c := calls[0]
		c.reply = c.script.Run(ctx, w.client, c.keys, c.args...)
		return c.reply.Err()
	}
	_, _ = w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range calls {
			c.reply = c.script.EvalSha(ctx, p, c.keys, c.args...)
		}
		return nil
	})
	var failed error
	lost := false // the server was restarted, and has forgotten a script
	for _, c := range calls {
		if isRefusal(c.reply.Err(), "NOSCRIPT") || lost && c.script == markScript {
			lost = true
			c.reply = c.script.Run(ctx, w.client, c.keys, c.args...)
		}
		if err := c.reply.Err(); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// isRefusal reports whether Redis itself answered with an error of this beginning.
func isRefusal(err error, prefix string) bool {
	var refusal redis.Error
	return errors.As(err, &refusal) && strings.HasPrefix(refusal.Error(), prefix)
}
