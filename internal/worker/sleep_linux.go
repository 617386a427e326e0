package worker

import (
	"syscall"
	"time"
)

// sleepExactly sleeps until t by nanosleep(2) on a thread of its own, to some 0.1 ms.
// The runtime's timers fire 0.5 ms late on average when the process is idle, since it
// waits in whole milliseconds then.
func sleepExactly(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		rest := syscall.NsecToTimespec(left.Nanoseconds())
		if err := syscall.Nanosleep(&rest, nil); err != nil && err != syscall.EINTR {
			time.Sleep(left)
		}
	}
}
