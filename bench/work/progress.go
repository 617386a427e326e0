package work

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far the run has come: a bar on a terminal, else a line for
// each measurement. Nothing depends on it, so a failure to draw is not
// reported.
type progress struct {
	out   io.Writer
	total int
	done  int
	what  string
	began time.Time
	bar   *progressbar.ProgressBar // nil if there is no terminal
}

func newProgress(out io.Writer, total int) *progress {
	p := &progress{out: out, total: total}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
		)
	}
	return p
}

// begin says what is being measured now.
func (p *progress) begin(what string) {
	p.what, p.began = what, time.Now()
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// end says what came of it.
func (p *progress) end(result string) {
	p.done++
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.out, "[%d/%d] %s: %s (%s)\n", p.done, p.total, p.what, result, time.Since(p.began).Round(100*time.Millisecond))
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprintln(p.out)
	}
}
