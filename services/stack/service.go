package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	// drainPatience is longer than a worker takes to drain by default.
	drainPatience = 40 * time.Second
	firstBackoff  = 500 * time.Millisecond
	maxBackoff    = 15 * time.Second
	// healthyAfter is how long a service runs until its next end counts as
	// its first.
	healthyAfter = 30 * time.Second
)

// service is one process of up.
type service struct {
	name    string
	program string // under bin
	address string // its LISTEN_ADDR
}

// plan names the services and where each listens, and makes sure that it can.
// The API comes first.
func plan(workers int) ([]*service, error) {
	host, text, err := net.SplitHostPort(cmp.Or(os.Getenv("WORKER_LISTEN_ADDR"), ":8081"))
	port, portErr := strconv.Atoi(text)
	if err != nil || portErr != nil || port < 1 || port+workers > 1<<16 {
		return nil, fmt.Errorf("WORKER_LISTEN_ADDR is no address with room for %d workers: such as :8081 or 127.0.0.1:8081", workers)
	}
	services := []*service{{name: "api", program: "api", address: cmp.Or(os.Getenv("LISTEN_ADDR"), ":8080")}}
	for i := range workers {
		address := net.JoinHostPort(host, strconv.Itoa(port+i))
		services = append(services, &service{name: fmt.Sprintf("worker-%d", i+1), program: "worker", address: address})
	}
	advice := "LISTEN_ADDR to another address, such as :18080"
	for _, s := range services {
		listener, err := net.Listen("tcp", s.address) //nolint:noctx // It does not wait.
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s cannot listen on %s: another program does; stop that one, or set %s", s.name, s.address, advice)
		}
		if err == nil {
			err = listener.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s for %s: %w", s.address, s.name, err)
		}
		advice = "WORKER_LISTEN_ADDR to another first address, such as :18081"
	}
	return services, nil
}

// url is where the service is found from this machine.
func (s *service) url() string {
	if strings.HasPrefix(s.address, ":") {
		return "http://127.0.0.1" + s.address
	}
	return "http://" + s.address
}

// start runs services until stop is called, which waits for them.
func (s *stack) start(services []*service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, service := range services {
		running.Go(func() { s.keep(ctx, service, s.out.named(service.name, 1+i)) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// keep keeps a service running until ctx ends, and then stops it. One that ends by
// itself is started again, ever more slowly, so that a mistake in it leaves the rest of
// the stack standing.
func (s *stack) keep(ctx context.Context, service *service, output io.Writer) {
	environ := append(s.stores.environ(), "LISTEN_ADDR="+service.address, "API_SHUTDOWN_DELAY=0s") // nobody balances here
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		began := time.Now()
		command := program("", environ, filepath.Join(s.bin, service.program))
		command.Stdout, command.Stderr = output, output
		err := process.Run(ctx, command, syscall.SIGTERM, drainPatience)
		if ctx.Err() != nil {
			if !errors.Is(err, process.ErrInterrupted) {
				s.out.say("%s: %v", service.name, err)
			}
			return
		}
		if time.Since(began) > healthyAfter {
			backoff = firstBackoff
		}
		s.out.say("%s ended by itself (%v); its lines above say why; starting it again in %s",
			service.name, cmp.Or(err, errors.New("exit status 0")), backoff)
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return
		}
	}
}
