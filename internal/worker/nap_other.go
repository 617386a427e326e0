//go:build !linux

package worker

import "time"

// nap sleeps until t.
func nap(t time.Time) { time.Sleep(time.Until(t)) }
