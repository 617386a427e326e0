//go:build unix

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readerGone reports whether nobody reads a pipe any more. A watch that has nothing to print
// would not learn it from a write.
func readerGone(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	polled := []unix.PollFd{{Fd: int32(file.Fd())}} //nolint:gosec // A descriptor fits.
	n, err := unix.Poll(polled, 0)
	return err == nil && n > 0 && polled[0].Revents&unix.POLLERR != 0
}
