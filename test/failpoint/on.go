//go:build chaos

package failpoint

import (
	"fmt"
	"os"
	"runtime"
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
	journal = openJournal()
)

func init() {
	follow("FAILPOINTS", os.Getenv("FAILPOINTS"))
	if path := os.Getenv("FAILPOINTS_FILE"); path != "" {
		go followFile(path)
	}
}

// follow makes text the plan. What the fault suite asks for and cannot have would
// make a run look milder than it was, here and below: that ends the process.
func follow(variable, text string) {
	next, err := parse(text)
	giveUp(variable, err)
	current.Store(&next)
}

func giveUp(variable string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
		os.Exit(2)
	}
}

// followFile takes over what the file holds whenever that changes. A file that is
// not there yet changes nothing.
func followFile(path string) {
	for last := ""; ; time.Sleep(reload) {
		text, err := os.ReadFile(path) //nolint:gosec // G304: whoever starts the process names it.
		if err == nil && string(text) != last {
			last = string(text)
			follow("FAILPOINTS_FILE", last)
		}
	}
}

// Hit does what the plan has for this point, which is mostly nothing.
func Hit(point string) {
	r, fires := current.Load().hit(point)
	if !fires {
		return
	}
	if journal != nil {
		_, err := fmt.Fprintln(journal, point, r.action, time.Now().UnixNano()) // one write: processes share the file
		giveUp("FAILPOINTS_LOG", err)
	}
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

// openJournal opens the file in which is noted what is done, if it is named.
func openJournal() *os.File {
	path := os.Getenv("FAILPOINTS_LOG")
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // G304: as in followFile.
	giveUp("FAILPOINTS_LOG", err)
	return file
}
