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
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
)

const requestTimeout = 30 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "load:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for the report; the second one ends the process.
	context.AfterFunc(ctx, stop)

	r, err := load(ctx, opts, stdout, stderr)
	if err == nil {
		err = r.print(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
	}
	if err != nil || r.broken() {
		return 1
	}
	return 0
}

// load is one whole run: plan, submit, follow, judge. An end of ctx cuts the
// first two short, and what is known by then is judged.
func load(ctx context.Context, opts options, stdout, stderr io.Writer) (*report, error) {
	api, err := client.New(opts.url, client.WithHTTPClient(&http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: opts.clients, MaxIdleConnsPerHost: opts.clients},
	}))
	if err != nil {
		return nil, err
	}
	defer api.CloseIdleConnections()
	if err := api.Live(ctx); err != nil {
		return nil, fmt.Errorf("nothing to load, is the API up? %w", err)
	}
	run := uuid.NewString()
	sink := &sink{}
	if opts.witness {
		if sink, err = openSink(run); err != nil {
			return nil, err
		}
		opts.types = []string{"webhook"}
	}
	fmt.Fprintf(stdout, "run %s, seed %d: %d tasks of type %v due from %v to %v around now\n",
		run, opts.seed, opts.tasks, opts.types, opts.from, opts.to)
	plans := planTasks(opts, run, time.Now(), rand.New(rand.NewPCG(opts.seed, opts.seed)))
	for i := range plans {
		if opts.witness {
			plans[i].Payload = sink.Payload(run, int64(i), nil)
		}
	}

	e := evidence{planned: len(plans), grace: opts.grace, witnessed: opts.witness}
	began := time.Now()
	e.calls = submit(ctx, api, plans, opts.clients, newBar(stderr, "submit", len(plans)))
	e.took = time.Since(began)
	e.followed = follow(ctx, api, e.calls, opts, stderr)
	if opts.witness {
		if err := sink.Close(); err != nil {
			return nil, err
		}
		e.arrivals = sink.seen // nobody adds to them any more
	}
	return judgeRun(e), nil
}
