// Package app assembles the two programs of the system out of the other packages, the
// API and the worker: their command line, their connections to both stores, their HTTP
// server, and the order in which all of it stops.
package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// Command is one program of the system, with the configuration C.
type Command[C any] struct {
	Name string
	// Load reads the configuration from the environment.
	Load func() (C, error)
	// Addr is where the service listens, as in LISTEN_ADDR.
	Addr func(C) string
	// TLS is whether it serves HTTPS there.
	TLS func(C) bool
	// Others are further commands, by their names, which take the rest of the command line.
	Others map[string]Other
	// Run does the work until ctx ends, and logs to out.
	Run func(ctx context.Context, cfg C, out io.Writer) error
}

// Other is a command beside those that every program has.
type Other struct {
	// Usage is a line each for --help.
	Usage string
	Do    func(ctx context.Context, args []string, out io.Writer) error
}

// Main carries out the command line: nothing to run, healthcheck to ask the
// service on this machine whether it is ready, --version, --help. SIGINT and SIGTERM end
// the context. It ends the process, with status 1 and one sentence if something
// failed.
func (c Command[C]) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.Do(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, c.Name+":", err)
		os.Exit(1)
	}
}

// Do is Main without the process around it.
func (c Command[C]) Do(ctx context.Context, args []string, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	if other, ok := c.Others[command]; ok {
		return other.Do(ctx, args[1:], out)
	}
	switch command {
	case "help", "-h", "-help", "--help":
		var cfg C
		for _, other := range c.Others {
			fmt.Fprintf(out, "Commands of %s:\n\n  %s\n\n", c.Name, other.Usage)
		}
		return config.Usage(out, c.Name+" [healthcheck | --version]", cfg)
	case "version", "-version", "--version":
		_, err := fmt.Fprintln(out, c.Name, telemetry.Version())
		return err
	case "", "healthcheck":
	default:
		return fmt.Errorf("unknown argument %q, see --help", command)
	}
	cfg, err := c.Load()
	if err != nil {
		return err
	}
	if command == "healthcheck" {
		return telemetry.Healthcheck(c.Addr(cfg), c.TLS != nil && c.TLS(cfg))
	}
	return c.Run(ctx, cfg, out)
}
