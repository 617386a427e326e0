package node

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

// Service is one program of the system, with the configuration C.
type Service[C any] struct {
	Name string
	// Load reads the configuration from the environment.
	Load func() (C, error)
	// Addr is where the service listens, as in LISTEN_ADDR.
	Addr func(C) string
	// Run does the work until ctx ends, and logs to out.
	Run func(ctx context.Context, cfg C, out io.Writer) error
}

// Main carries out the command line: nothing to run, healthcheck to ask the
// service on this machine whether it is ready, --version, --help. SIGINT and SIGTERM end
// the context. It ends the process, with status 1 and one sentence if something
// failed.
func (s Service[C]) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := s.Command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, s.Name+":", err)
		os.Exit(1)
	}
}

// Command is Main without the process around it.
func (s Service[C]) Command(ctx context.Context, args []string, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "help", "-h", "-help", "--help":
		var cfg C
		return config.Usage(out, s.Name+" [healthcheck | --version]", cfg)
	case "version", "-version", "--version":
		_, err := fmt.Fprintln(out, s.Name, telemetry.Version())
		return err
	case "", "healthcheck":
	default:
		return fmt.Errorf("unknown argument %q, see --help", command)
	}
	cfg, err := s.Load()
	if err != nil {
		return err
	}
	if command == "healthcheck" {
		return telemetry.Healthcheck(s.Addr(cfg))
	}
	return s.Run(ctx, cfg, out)
}
