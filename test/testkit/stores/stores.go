// Package stores runs private instances of Postgres and Redis on this machine,
// for development and for tests. They listen on 127.0.0.1 only and let in
// whoever has the password in their URL, they end with the process that started them, and they may be
// killed and started again on the same data and the same port.
package stores

import (
	"errors"
	"fmt"
	"os"
)

// Options describe a private instance. The zero value is a throw-away one.
type Options struct {
	// Dir is the folder that holds the data and the log, and is made if it is
	// missing. What it holds is used again. Empty: a temporary folder that
	// Close removes.
	Dir string
	// Port is the TCP port to prefer. If it is taken, or 0, the kernel chooses
	// one.
	Port int
	// Settings are added to the server's own, by name, and win over them.
	Settings map[string]string
	// Password is that of a Redis. Empty: a new one.
	Password string
}

// home makes the instance's folder, and says whether it is a throw-away.
func (o Options) home(name string) (dir string, temporary bool, err error) {
	if o.Dir == "" {
		dir, err = os.MkdirTemp("", "timewheel-"+name+"-")
		if err != nil {
			return "", false, fmt.Errorf("make a folder for %s: %w", name, err)
		}
		// Postgres refuses to run as root: its other user must get through.
		return dir, true, os.Chmod(dir, 0o711) //nolint:gosec // G302: see above, and the data below is 0700.
	}
	if err := os.MkdirAll(o.Dir, 0o711); err != nil { //nolint:gosec // G301: as above.
		return "", false, fmt.Errorf("make a folder for %s: %w", name, err)
	}
	return o.Dir, false, nil
}

// errDied marks a server that ended before it answered.
var errDied = errors.New("ended before it was ready")
