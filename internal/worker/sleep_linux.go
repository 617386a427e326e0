package worker

import (
	"syscall"
	"time"
)

// sleepExactly sleeps until t on a thread of its own, to some 0.1 ms. It is what a timer
// of the runtime is not: with nothing else to do, the runtime waits in whole
// milliseconds, and its timers come 0.5 ms late on average.
func sleepExactly(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		rest := syscall.NsecToTimespec(left.Nanoseconds())
		if err := syscall.Nanosleep(&rest, nil); err != nil && err != syscall.EINTR {
			time.Sleep(left)
		}
	}
}
