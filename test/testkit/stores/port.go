package stores

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"

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
	err = p.bind(preferred)
	if err == nil && runtime.GOOS != "linux" {
		// Only Linux lets two sockets have the port: elsewhere it was free a moment ago.
		err, p.socket = p.release(), -1
	}
	if err != nil {
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

func (p *port) text() string { return strconv.Itoa(p.number) }

func (p *port) address() string { return net.JoinHostPort("127.0.0.1", p.text()) }

// release lets others have the port.
func (p *port) release() error {
	if p == nil || p.socket < 0 {
		return nil
	}
	return unix.Close(p.socket)
}
