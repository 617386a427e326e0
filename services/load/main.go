// Command load submits many tasks over REST, follows them to their end, and
// says what became of them: how fast they were taken, how late they ran, and
// above all whether any ran early, ran twice or was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "load:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for the report; the second one ends the process.
	context.AfterFunc(ctx, stop)

	r, err := load(ctx, opts, stdout, stderr)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "load:", err)
		return 1
	}
	if err := r.print(stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "load: write report:", err)
		return 1
	}
	if r.broken() {
		return 1
	}
	return 0
}

// load is one whole run: plan, submit, follow, judge. An end of ctx cuts the
// first two short, and what is known by then is judged.
func load(ctx context.Context, opts options, stdout, stderr io.Writer) (_ *report, err error) {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	api, err := newAPI(opts.url, opts.clients)
	if err != nil {
		return nil, err
	}
	defer api.CloseIdleConnections()
	if err := alive(ctx, api); err != nil {
		return nil, err
	}

	var watcher *arrivals
	run := uuid.NewString()
	if opts.witness {
		watcher, err = startWitness(run)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, watcher.Close()) }()
		opts.types, opts.payload = []string{"webhook"}, watcher.payload()
	}

	_, err = fmt.Fprintf(stdout, "run %s, seed %d: %d tasks of type %v due from %v to %v around now\n",
		run, opts.seed, opts.tasks, opts.types, opts.from, opts.to)
	if err != nil {
		return nil, fmt.Errorf("write heading: %w", err)
	}
	plans := planTasks(opts, run, time.Now(), rand.New(rand.NewPCG(opts.seed, opts.seed)))

	began := time.Now()
	submissions := submit(ctx, api, plans, opts.clients, newProgress(stderr, "submit", len(plans)))
	took := time.Since(began)

	seen := follow(ctx, api, submissions, opts, log, func(total int) *progress {
		return newProgress(stderr, "follow", total)
	})
	e := evidence{planned: len(plans), submissions: submissions, took: took, followed: seen, grace: opts.grace}
	if watcher != nil {
		e.witnessed, e.arrivals = true, watcher.calls()
	}
	return judge(e), nil
}
