package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// options are the flags of up.
type options struct {
	workers      int
	watch, fresh bool
	data         string
}

// stack is what up runs.
type stack struct {
	root, bin string // of the module, and of the programs that are built
	stores    *storeSet
	out       *console
}

// up runs everything, and returns once everything has been stopped: the
// workers first, then the API, then the stores.
func up(ctx context.Context, o options) (err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	services, err := plan(o.workers)
	if err != nil {
		return err
	}
	data, release, err := claimFolder(o.data, o.fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	s := &stack{root: root, bin: filepath.Join(data, "bin"), stores: fromEnvironment(), out: newConsole(os.Stdout)}
	s.out.say("building the services")
	if err := s.build(ctx); err != nil {
		return err
	}
	defer func() {
		s.out.say("stopping the stores")
		err = errors.Join(err, s.stores.close())
	}()
	switch {
	case s.stores.databaseURL == "" && s.stores.redisURL == "" && dockerAnswers(ctx):
		s.out.say("starting the stores in Docker")
		err = s.stores.startDocker(ctx, root, o.fresh)
	case !s.stores.complete():
		s.out.say("starting private stores")
		err = s.stores.startPrivate(ctx, data)
	}
	if err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.serve(ctx, services, o.watch)
}

// build makes the programs that up runs. It does not use "go run", which would
// not pass a SIGTERM on.
func (s *stack) build(ctx context.Context) error {
	err := runToEnd(ctx, program(s.root, nil, "go", "build", "-o", s.bin+string(filepath.Separator),
		"./services/api", "./services/worker", "./services/migrate"))
	if err != nil {
		return fmt.Errorf("build the services: %w", err)
	}
	return nil
}

func (s *stack) migrate(ctx context.Context) error {
	if err := runToEnd(ctx, program("", s.stores.environ(), filepath.Join(s.bin, "migrate"), "up")); err != nil {
		return fmt.Errorf("apply the migrations: %w", err)
	}
	return nil
}

// serve runs the services, the API first, until ctx ends or a store does.
func (s *stack) serve(ctx context.Context, services []*service, watch bool) error {
	var changes <-chan struct{}
	if watch {
		watcher, err := watchSources(s.root)
		if err != nil {
			return err
		}
		defer watcher.close()
		changes = watcher.changes
	}
	// The order of the stops is ours, and not that of a Ctrl-C.
	stopAPI, stopWorkers := s.start(services[:1]), s.start(services[1:])
	defer func() {
		stopWorkers()
		stopAPI()
	}()
	s.out.show(s.welcome(services))
	for {
		select {
		case <-ctx.Done():
			s.out.say("stopping")
			return nil
		case err := <-s.stores.ended:
			return err
		case <-changes:
			s.out.say("the source changed: building the services again")
			err := s.build(ctx)
			if err == nil {
				err = s.migrate(ctx)
			}
			if err != nil {
				s.out.say("the services stay as they were: %v", err)
				continue
			}
			stopAPI()
			stopAPI = s.start(services[:1])
			stopWorkers()
			stopWorkers = s.start(services[1:])
		}
	}
}
