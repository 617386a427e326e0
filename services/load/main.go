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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/judge"
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

// maxTries bounds how often one create is sent.
const maxTries = 8

// planTasks spreads the tasks over the window and the types. Times are in
// whole microseconds, which the scheduler keeps exactly.
func planTasks(o options, run string, now time.Time, random *rand.Rand) []client.NewTask {
	now = now.UTC().Truncate(time.Microsecond)
	window := (o.to - o.from).Microseconds()
	plans := make([]client.NewTask, o.tasks)
	for i := range plans {
		offset := o.from + time.Duration(random.Int64N(window+1))*time.Microsecond
		plans[i] = client.NewTask{
			Type:          o.types[i%len(o.types)],
			ExecutionTime: now.Add(offset).Truncate(time.Microsecond),
			Payload:       o.payload,
			Key:           fmt.Sprintf("load-%s-%d", run, i),
		}
	}
	return plans
}

// submit creates the planned tasks with so many clients at once, and returns
// those it came to before ctx ended, in the order of the plans.
func submit(ctx context.Context, api *client.Client, plans []client.NewTask, clients int, bar *progressbar.ProgressBar) []judge.Call {
	out := make([]judge.Call, len(plans))
	var begun atomic.Int64
	var group sync.WaitGroup
	for range min(clients, len(plans)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := begun.Add(1) - 1
				if i >= int64(len(plans)) {
					return
				}
				out[i] = judge.Create(ctx, []*client.Client{api}, i, plans[i], maxTries)
				_ = bar.Add(1)
			}
		})
	}
	group.Wait()
	return out[:min(begun.Load(), int64(len(plans)))]
}

// newBar shows on a terminal how far a stage has come. Nothing depends on what is drawn,
// so its errors are dropped.
func newBar(out io.Writer, stage string, total int) *progressbar.ProgressBar {
	file, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(stage),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("tasks"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }))
}

// sink is the witness of one run, and what it has seen.
type sink struct {
	judge.Witness
	mu   sync.Mutex
	seen map[uuid.UUID][]judge.Arrival
}

// openSink receives the webhooks of a run. Only requests that name the run count, so
// that tasks left over by an earlier one do not.
func openSink(run string) (s *sink, err error) {
	s = &sink{seen: map[uuid.UUID][]judge.Arrival{}}
	s.Witness, err = judge.Listen(func(word string, a judge.Arrival, out http.ResponseWriter) {
		if word != run {
			http.Error(out, "this is another run", http.StatusNotFound)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[a.Task] = append(s.seen[a.Task], a)
	})
	return s, err
}
