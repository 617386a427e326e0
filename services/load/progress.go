package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plainEvery is the pause between two lines where there is no terminal.
const plainEvery = 5 * time.Second

// progress shows how far a stage has come: a bar on a terminal, else a line
// now and then. Nothing depends on it, so a failure to draw is not reported.
type progress struct {
	out   io.Writer
	stage string
	total int
	bar   *progressbar.ProgressBar // nil if there is no terminal

	mu    sync.Mutex
	done  int
	shown time.Time
}

func newProgress(out io.Writer, stage string, total int) *progress {
	p := &progress{out: out, stage: stage, total: total, shown: time.Now()}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription(stage),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("tasks"),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionFullWidth(),
		)
	}
	return p
}

// set says that done of the total are behind. It never goes back.
func (p *progress) set(done int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = max(p.done, done)
	if p.bar != nil {
		_ = p.bar.Set(p.done)
	} else if time.Since(p.shown) >= plainEvery {
		p.line()
	}
}

// finish leaves the last state on the screen.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Exit()
		_, _ = fmt.Fprintln(p.out)
		return
	}
	p.line()
}

func (p *progress) line() {
	p.shown = time.Now()
	_, _ = fmt.Fprintf(p.out, "%s: %d of %d\n", p.stage, p.done, p.total)
}
