package stores

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// port is a TCP port of 127.0.0.1 that is kept for one server, also while the
// server is down.
type port struct{ number, socket int }

// reservePort binds a socket and never listens on it. With SO_REUSEADDR on both
// sides the server may bind the same port and listen, while the kernel gives
// it to nobody else, neither to a listener nor to an outgoing connection.
func reservePort(preferred int) (*port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	unix.CloseOnExec(socket)
	p := &port{socket: socket}
	if err := p.bind(preferred); err != nil {
		return nil, fmt.Errorf("reserve a port: %w", errors.Join(err, p.release()))
	}
	if runtime.GOOS != "linux" {
		// Only Linux lets two sockets have a port: elsewhere it was free a moment ago.
		return p, p.release()
	}
	return p, nil
}

func (p *port) bind(preferred int) error {
	address := &unix.SockaddrInet4{Port: preferred, Addr: [4]byte{127, 0, 0, 1}}
	err := unix.SetsockoptInt(p.socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(p.socket, address)
	}
	if errors.Is(err, unix.EADDRINUSE) {
		address.Port = 0
		err = unix.Bind(p.socket, address)
	}
	if err != nil {
		return err
	}
	bound, err := unix.Getsockname(p.socket)
	if err == nil {
		p.number = bound.(*unix.SockaddrInet4).Port //nolint:forcetypeassert,errcheck // An AF_INET socket has no other.
	}
	return err
}

func (p *port) address() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

// release lets others have the port.
func (p *port) release() error {
	if p == nil || p.socket < 0 {
		return nil
	}
	socket := p.socket
	p.socket = -1
	return unix.Close(socket)
}
