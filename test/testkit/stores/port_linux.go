package stores

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// port is a TCP port of 127.0.0.1 that is kept for one server, also while the
// server is down.
type port struct {
	number int
	socket int
}

// reservePort binds a socket and never listens on it. With SO_REUSEADDR on both
// sides the server may bind the same port and listen, while the kernel gives
// it to nobody else, neither to a listener nor to an outgoing connection.
func reservePort(preferred int) (*port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	p := &port{socket: socket}
	if err := p.bind(preferred); err != nil {
		return nil, fmt.Errorf("reserve a port: %w", errors.Join(err, p.release()))
	}
	return p, nil
}

func (p *port) bind(preferred int) error {
	if err := unix.SetsockoptInt(p.socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	address := &unix.SockaddrInet4{Port: preferred, Addr: [4]byte{127, 0, 0, 1}}
	err := unix.Bind(p.socket, address)
	if errors.Is(err, unix.EADDRINUSE) && preferred != 0 {
		address.Port = 0
		err = unix.Bind(p.socket, address)
	}
	if err != nil {
		return err
	}
	bound, err := unix.Getsockname(p.socket)
	if err != nil {
		return err
	}
	p.number = bound.(*unix.SockaddrInet4).Port //nolint:forcetypeassert,errcheck // An AF_INET socket has no other.
	return nil
}

// release lets others have the port.
func (p *port) release() error { return unix.Close(p.socket) }
