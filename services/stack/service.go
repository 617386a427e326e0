package main

import (
	"context"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	// drainPatience is longer than a worker takes to drain by default.
	drainPatience = 40 * time.Second
	firstBackoff  = 500 * time.Millisecond
	maxBackoff    = 15 * time.Second
	// healthyAfter is how long a service runs until its next end counts as
	// its first.
	healthyAfter = 30 * time.Second
)

// service is one process of up.
type service struct {
	name    string
	program string // under bin
	address string // its LISTEN_ADDR
	again   chan struct{}
}

// restart makes run stop the program and start it again. It does not wait.
func (s *service) restart() {
	select {
	case s.again <- struct{}{}:
	default: // One is asked for already.
	}
}

// run keeps the program running until ctx ends, and then stops it. A program
// that ends by itself is started again, ever more slowly, so that a mistake in
// it leaves the rest of the stack standing.
func (s *service) run(ctx context.Context, start func() (*process.Child, error), out *console) {
	backoff := firstBackoff
	for {
		began := time.Now()
		program, err := start()
		if err == nil {
			if s.follow(ctx, program, out) {
				if ctx.Err() != nil {
					return
				}
				backoff = firstBackoff
				continue
			}
			err = program.Err()
		}
		if time.Since(began) > healthyAfter {
			backoff = firstBackoff
		}
		if !s.pause(ctx, backoff, err, out) {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// follow waits for the program's end, and reports whether we asked for it.
func (s *service) follow(ctx context.Context, program *process.Child, out *console) (asked bool) {
	select {
	case <-program.Done():
		return ctx.Err() != nil
	case <-s.again:
	case <-ctx.Done():
	}
	if err := program.Stop(syscall.SIGTERM, drainPatience); err != nil {
		out.say("%s: %v", s.name, err)
	}
	return true
}

func (s *service) pause(ctx context.Context, backoff time.Duration, err error, out *console) (goOn bool) {
	reason := "exit status 0"
	if err != nil {
		reason = err.Error()
	}
	out.say("%s ended by itself (%s); its lines above say why; starting it again in %s", s.name, reason, backoff)
	timer := time.NewTimer(backoff)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.again:
		return true
	case <-ctx.Done():
		return false
	}
}
