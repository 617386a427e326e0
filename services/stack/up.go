package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

const upUsage = `Usage: go tool stack up [flags]

Builds the services, brings up the stores, applies the migrations, and runs the
API and the workers until Ctrl-C. The data is kept for the next run. LISTEN_ADDR
moves the API from its port, :8080, and WORKER_LISTEN_ADDR the first worker from
:8081; the other workers have the ports that follow. Every other variable of the
services is passed on to them.

Flags:
`

// Where the API listens, and the first worker with its health and metrics,
// unless LISTEN_ADDR and WORKER_LISTEN_ADDR say otherwise.
const (
	apiAddress         = ":8080"
	firstWorkerAddress = ":8081"
)

type upOptions struct {
	workers int
	watch   bool
	fresh   bool
	data    string
}

func parseUp(arguments []string) (upOptions, error) {
	var o upOptions
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), upUsage)
		flags.PrintDefaults()
	}
	flags.IntVar(&o.workers, "workers", 1, "how many worker processes to run")
	flags.BoolVar(&o.watch, "watch", false, "build and start the services again when a .go, .lua or .sql file changes")
	flags.BoolVar(&o.fresh, "fresh", false, "throw the data of earlier runs away first")
	flags.StringVar(&o.data, "data", "", "the folder of the private stores' data (default: one for each user)")
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errCommandLine
	}
	if flags.NArg() > 0 || o.workers < 0 {
		fmt.Fprintf(flags.Output(), "up takes no arguments, and no fewer than 0 workers\n")
		return o, errCommandLine
	}
	return o, nil
}

// up runs everything, and returns once everything has been stopped: the
// workers first, then the API, then the stores.
func up(ctx context.Context, arguments []string) (err error) {
	options, err := parseUp(arguments)
	if err != nil {
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	services, err := plan(options.workers)
	if err != nil {
		return err
	}
	if options.data == "" {
		if options.data, err = dataFolder(); err != nil {
			return err
		}
	}
	if options.data, err = filepath.Abs(options.data); err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	release, err := claimFolder(options.data, options.fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()

	out := newConsole(os.Stdout)
	bin := filepath.Join(options.data, "bin")
	out.say("building the services")
	if err := build(ctx, root, bin); err != nil {
		return err
	}
	stores, err := startStores(ctx, root, options, out)
	defer func() {
		out.say("stopping the stores")
		err = errors.Join(err, stores.close())
	}()
	if err != nil {
		return err
	}
	if err := migrateUp(ctx, bin, stores); err != nil {
		return err
	}
	return serve(ctx, root, bin, services, stores, options.watch, out)
}

// startStores brings up the stores that the environment does not name. What it
// returns is to be closed even if there is an error.
func startStores(ctx context.Context, root string, options upOptions, out *console) (*storeSet, error) {
	s := fromEnvironment()
	if s.databaseURL == "" && s.redisURL == "" && dockerAnswers(ctx) {
		out.say("starting the stores in Docker")
		return s, s.startDocker(ctx, root, options.fresh)
	}
	if !s.complete() {
		out.say("starting private stores")
	}
	return s, s.startPrivate(ctx, options.data, os.Stderr)
}

// build makes the programs that up runs. It does not use "go run", which would
// not pass a SIGTERM on.
func build(ctx context.Context, root, bin string) error {
	command := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), //nolint:gosec // G204: the path is our own.
		"./services/api", "./services/worker", "./services/migrate")
	command.Dir = root
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build the services: %w", err)
	}
	return nil
}

func migrateUp(ctx context.Context, bin string, stores *storeSet) error {
	command := exec.Command(filepath.Join(bin, "migrate"), "up") //nolint:gosec,noctx // G204: the path is our own. child ends it.
	command.Env = stores.environ()
	if err := runToEnd(ctx, command); err != nil {
		return fmt.Errorf("apply the migrations: %w", err)
	}
	return nil
}

// plan names the services and where each listens, and makes sure that it can.
// The API comes first.
func plan(workers int) ([]*service, error) {
	first := cmp.Or(os.Getenv("WORKER_LISTEN_ADDR"), firstWorkerAddress)
	host, text, err := net.SplitHostPort(first)
	port, portErr := strconv.Atoi(text)
	if err != nil || portErr != nil || port < 1 || port+workers > 1<<16 {
		return nil, fmt.Errorf("WORKER_LISTEN_ADDR is no address with room for %d workers: such as :8081 or 127.0.0.1:8081", workers)
	}
	services := []*service{{name: "api", program: "api", address: cmp.Or(os.Getenv("LISTEN_ADDR"), apiAddress)}}
	for i := range workers {
		services = append(services, &service{
			name:    "worker-" + strconv.Itoa(i+1),
			program: "worker",
			address: net.JoinHostPort(host, strconv.Itoa(port+i)),
		})
	}
	for _, s := range services {
		listener, err := net.Listen("tcp", s.address) //nolint:noctx // It does not wait.
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s cannot listen on %s: another program does; stop that one%s", s.name, s.address, advice(s))
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s for %s: %w", s.address, s.name, err)
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("listen on %s for %s: %w", s.address, s.name, err)
		}
	}
	return services, nil
}

func advice(s *service) string {
	if s.program == "api" {
		return ", or set LISTEN_ADDR to another address, such as :18080"
	}
	return ", or set WORKER_LISTEN_ADDR to another first address, such as :18081"
}
