package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// pingTimeout bounds the question whether a pooled connection still works.
	pingTimeout = 250 * time.Millisecond
	// pingIdle is how long a connection may have been idle without being asked.
	pingIdle = time.Second
)

// attempt is what one try of a statement knows of its connection.
type attempt struct {
	// suspect: the try before was given up without an answer. Other connections
	// may have died of the same cause, so each is asked before it is used.
	suspect bool
	// sent: a connection was had, so the statement may have reached the server.
	sent bool
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{}
}

// watchAcquires makes a pool ask its connections whether they live where there is
// doubt, and tell each attempt whether it had one.
func watchAcquires(cfg *pgxpool.Config) {
	cfg.PingTimeout = pingTimeout
	cfg.ShouldPing = func(ctx context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > pingIdle || attemptOf(ctx).suspect
	}
	cfg.ConnConfig.Tracer = acquireTracer{}
}

// acquireTracer notes for an attempt that it had a connection.
type acquireTracer struct{}

// TraceAcquireStart has nothing to note.
func (acquireTracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return ctx
}

// TraceAcquireEnd notes that the attempt has a connection.
func (acquireTracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if data.Err == nil {
		attemptOf(ctx).sent = true
	}
}

// TraceQueryStart has nothing to note. The driver takes no tracer without it.
func (acquireTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd has nothing to note.
func (acquireTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
