//go:build !linux

package worker

import "time"

// sleepExactly sleeps until t.
func sleepExactly(t time.Time) { time.Sleep(time.Until(t)) }
