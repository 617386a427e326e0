package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/timewheel/timewheel/test/testkit/process"
)

// serve runs the services until ctx ends or a store does.
func serve(ctx context.Context, root, bin string, services []*service, stores *storeSet, watch bool, out *console) error {
	var changes <-chan struct{}
	if watch {
		watcher, err := watchSources(root)
		if err != nil {
			return err
		}
		defer watcher.close()
		changes = watcher.changes
	}
	api := newGroup(ctx, services[:1], bin, stores, out)
	defer api.stop()
	workers := newGroup(ctx, services[1:], bin, stores, out)
	defer workers.stop()
	out.show(welcome(services, stores))
	for {
		select {
		case <-ctx.Done():
			out.say("stopping")
			return nil
		case err := <-stores.ended:
			return err
		case <-changes:
			out.say("the source changed: building the services again")
			if err := rebuild(ctx, root, bin, stores); err != nil {
				out.say("the services stay as they were: %v", err)
				continue
			}
			workers.restart()
			api.restart()
		}
	}
}

func rebuild(ctx context.Context, root, bin string, stores *storeSet) error {
	if err := build(ctx, root, bin); err != nil {
		return err
	}
	return migrateUp(ctx, bin, stores)
}

// group is services that start and stop together.
type group struct {
	services []*service
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

func newGroup(ctx context.Context, services []*service, bin string, stores *storeSet, out *console) *group {
	// The order of the stops is ours, and not that of a Ctrl-C.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &group{services: services, cancel: cancel}
	for i, s := range services {
		s.again = make(chan struct{}, 1)
		output := out.prefixed(s.name, i)
		start := func() (*process.Child, error) {
			command := exec.Command(filepath.Join(bin, s.program))                          //nolint:gosec,noctx // G204: the path is our own. child ends it.
			command.Env = stores.environ("LISTEN_ADDR="+s.address, "API_SHUTDOWN_DELAY=0s") // nobody balances here
			command.Stdout, command.Stderr = output, output
			return process.Start(command, syscall.SIGTERM)
		}
		g.running.Go(func() { s.run(ctx, start, out) })
	}
	return g
}

func (g *group) restart() {
	for _, s := range g.services {
		s.restart()
	}
}

func (g *group) stop() {
	g.cancel()
	g.running.Wait()
}
