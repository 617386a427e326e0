//go:build unix && !linux

package stores

import (
	"fmt"
	"net"
)

// port is a TCP port of 127.0.0.1 that was free a moment ago. Only Linux can
// keep it for a server that is down.
type port struct{ number int }

func reservePort(preferred int) (*port, error) {
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", preferred)) //nolint:noctx // It does not wait.
	if err != nil && preferred != 0 {
		listener, err = net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // As above.
	}
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	number := listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert,errcheck // A tcp4 listener has no other.
	return &port{number: number}, listener.Close()
}

// release has nothing to give back.
func (p *port) release() error { return nil }
