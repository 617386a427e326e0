package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/timewheel/timewheel/client"
)

// options are the command line.
type options struct {
	url      string
	tasks    int
	from, to time.Duration
	clients  int
	types    []string
	payload  json.RawMessage
	seed     uint64
	witness  bool

	wait, stall, grace time.Duration
	// poll is the shortest pause between two looks at the tasks.
	poll time.Duration
}

const usage = `load submits tasks to the API and reports what became of them.

	go tool load -n 10000 -from -30m -to 2m
	go tool load -n 2000 -from 0s -to 20s -type baz -clients 8
	go tool load -n 5000 -from -1m -to 30s -witness

Tasks whose time lies in the past are due at once. Ctrl-C ends a run and
reports what is known by then. The exit status is 1 if any task ran early, ran
more than once or was lost. A bar task whose URL cannot be reached from the worker
has run: it is counted by itself, and breaks nothing.

With -witness the tasks are webhooks to a sink inside this process, so that
their executions are counted by somebody other than the scheduler. The sink
listens on loopback: run the worker on this machine with
WEBHOOK_ALLOW_PRIVATE=true. Tasks that fall due after the run has ended find
the sink gone and fail.

Flags:
`

// parseOptions reads the flags. It prints the usage itself if help is asked
// for, and returns flag.ErrHelp then.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{poll: time.Second}
	var types, payload string
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.url, "url", "http://127.0.0.1:8080", "`address` of the API")
	flags.IntVar(&o.tasks, "n", 10_000, "`number` of tasks to submit")
	flags.DurationVar(&o.from, "from", -30*time.Minute, "earliest execution time, a `duration` from now")
	flags.DurationVar(&o.to, "to", 30*time.Minute, "latest execution time, a `duration` from now")
	flags.IntVar(&o.clients, "clients", 64, "`number` of connections that submit at the same time")
	flags.StringVar(&types, "type", "foo,bar,baz", "task `types`, separated by commas, used in turn")
	flags.StringVar(&payload, "payload", "", "`JSON` object given to every task")
	flags.Uint64Var(&o.seed, "seed", 0, "`number` that decides the execution times; 0 draws one")
	flags.BoolVar(&o.witness, "witness", false, "count the executions with a sink of this process (see above)")
	flags.DurationVar(&o.wait, "wait", time.Minute, "follow the tasks that fall due within this `duration` of the last create")
	flags.DurationVar(&o.stall, "stall", time.Minute, "give up following when nothing has changed for this `duration`")
	flags.DurationVar(&o.grace, "grace", 30*time.Second, "`duration` after which a task that is due and still submitted is lost")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.witness && (given["type"] || given["payload"]) {
		return o, errors.New("-witness decides type and payload itself: leave -type and -payload out")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	o.types = strings.Split(types, ",")
	o.payload = json.RawMessage(payload)
	return o, o.validate()
}

func (o options) validate() error {
	_, err := client.New(o.url)
	var object map[string]json.RawMessage
	switch {
	case err != nil:
		return fmt.Errorf("-url: %w", err)
	case o.tasks < 1, o.clients < 1:
		return errors.New("-n and -clients must be at least 1")
	case o.to < o.from:
		return errors.New("-to lies before -from")
	case slices.Contains(o.types, ""):
		return errors.New("-type has an empty name")
	case o.wait < 0, o.stall <= 0, o.grace < 0:
		return errors.New("-wait and -grace may not be negative, and -stall must be positive")
	case len(o.payload) > 0 && (json.Unmarshal(o.payload, &object) != nil || object == nil):
		return errors.New("-payload is not a JSON object")
	}
	return nil
}
