//go:build chaos

package failpoint

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// reload is the pace at which a changed plan is noticed.
const reload = 20 * time.Millisecond

// exitStatus is what the action exit ends with.
const exitStatus = 86

var (
	current atomic.Pointer[plan]
	journal sync.Mutex
)

func init() {
	first, err := parse(os.Getenv("FAILPOINTS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILPOINTS:", err)
		os.Exit(2)
	}
	current.Store(first)
	if path := os.Getenv("FAILPOINTS_FILE"); path != "" {
		go follow(path)
	}
}

// follow takes over what the file holds whenever that changes. A file that is
// not there yet changes nothing.
func follow(path string) {
	last := ""
	for {
		text, err := os.ReadFile(path) //nolint:gosec // G304: whoever starts the process names it.
		if err == nil && string(text) != last {
			last = string(text)
			next, err := parse(last)
			if err != nil {
				fmt.Fprintln(os.Stderr, "FAILPOINTS_FILE:", err)
				os.Exit(2)
			}
			current.Store(next)
		}
		time.Sleep(reload)
	}
}

// Hit does what the plan has for this point, which is mostly nothing.
func Hit(point string) {
	r, fires := current.Load().hit(point)
	if !fires {
		return
	}
	record(point, r.action)
	switch r.action {
	case "kill":
		signalSelf(syscall.SIGKILL)
		select {}
	case "pause":
		signalSelf(syscall.SIGSTOP)
	case "panic":
		panic("failpoint " + point)
	case "goexit":
		runtime.Goexit()
	case "exit":
		os.Exit(exitStatus)
	case "hang":
		time.Sleep(r.hang)
	}
}

func signalSelf(sig syscall.Signal) {
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		panic(err)
	}
}

// record notes what is about to happen. A line that cannot be written would
// make a run look milder than it was, so that ends the process.
func record(point, action string) {
	path := os.Getenv("FAILPOINTS_LOG")
	if path == "" {
		return
	}
	journal.Lock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // G304: as in follow.
	if err == nil {
		_, err = fmt.Fprintln(file, point, action, time.Now().UnixNano())
	}
	if err == nil {
		err = file.Close()
	}
	journal.Unlock()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILPOINTS_LOG:", err)
		os.Exit(2)
	}
}
