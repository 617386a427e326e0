package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// watching is what task watch looks at: these tasks until all have ended, or the newest that
// a filter picks until it is interrupted.
type watching struct {
	filter
	ids      []string
	limit    int
	interval time.Duration
}

func (c *cli) taskWatch() *cobra.Command {
	var w watching
	cmd := &cobra.Command{
		Use: "watch [<id>...]", Short: "Follow tasks until they have ended, or the newest of a list", Args: takes(0, 100, ""),
		Long: "Follow tasks until all of them have ended, or, without an id, the newest that the filter picks until Ctrl-C.\n" +
			"On a terminal it draws a table anew; elsewhere it prints a line for each change.",
		Example:           "timewheel task watch 01a20a4c-b334-7f2c-a252-84152c4429d5",
		ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			w.ids = args
			if len(args) > 0 && !w.empty() {
				return wrongUse("give ids or a filter, not both")
			}
			if w.interval < 100*time.Millisecond {
				return wrongUse("--interval must be 100ms or more")
			}
			if w.limit < 1 || w.limit > largestPage {
				return wrongUse("--limit must be 1 to %d", largestPage)
			}
			return c.watch(cmd.Context(), &w)
		},
	}
	w.register(c, cmd)
	cmd.Flags().IntVar(&w.limit, "limit", 20, "how many tasks of a list")
	cmd.Flags().DurationVar(&w.interval, "interval", time.Second, "how often to look")
	return cmd
}

// watched is what has to be known of a task.
type watched struct {
	ID, Type, Status string
	DueAt            time.Time
	raw              json.RawMessage
}

func (w *watched) ended() bool { return w.Status != "submitted" && w.Status != "started_executing" }

// watch looks again and again. A look that fails for now is told once, and repeated.
func (c *cli) watch(ctx context.Context, w *watching) error {
	var view view = &lines{c: c, seen: map[string]string{}}
	if isTerminal(c.out) && !c.json() {
		view = &screen{c: c, file: c.out.w.(*os.File)} //nolint:forcetypeassert,errcheck // A terminal is a file.
	}
	silent := false
	for first := true; ; first = false {
		tasks, err := c.look(ctx, w)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Ctrl-C is how a watch ends.
		case err != nil:
			code, message := c.explain(ctx, err)
			if first || code != exitUnreachable {
				return err
			}
			if !silent {
				view.trouble(message)
			}
			silent = true
		default:
			silent = false
			if err := view.show(tasks); err != nil {
				return err
			}
			if len(w.ids) > 0 && allEnded(tasks) {
				return nil
			}
		}
		if readerGone(c.out.w) {
			return nil
		}
		select {
		case <-time.After(w.interval):
		case <-ctx.Done():
			return nil
		}
	}
}

func allEnded(tasks []watched) bool {
	for i := range tasks {
		if !tasks[i].ended() {
			return false
		}
	}
	return true
}

// look reads what is watched.
func (c *cli) look(ctx context.Context, w *watching) ([]watched, error) {
	var found []json.RawMessage
	if len(w.ids) == 0 {
		query, err := w.query(c.now())
		if err != nil {
			return nil, err
		}
		_, err = c.pages(ctx, query, listing{limit: w.limit}, func(page []json.RawMessage) error {
			found = append(found, page...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, id := range w.ids {
		path, err := taskPath(id)
		if err != nil {
			return nil, err
		}
		answer, err := c.get(ctx, path, url.Values{})
		if err != nil {
			return nil, err
		}
		found = append(found, answer)
	}
	tasks := make([]watched, 0, len(found))
	for _, raw := range found {
		var t struct {
			ID     string    `json:"task_id"`
			Type   string    `json:"task_type"`
			Status string    `json:"status"`
			DueAt  time.Time `json:"due_at"`
		}
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("the answer is no task: %w", err)
		}
		tasks = append(tasks, watched{t.ID, t.Type, t.Status, t.DueAt, raw})
	}
	return tasks, nil
}

// view shows what is watched.
type view interface {
	show(tasks []watched) error
	// trouble tells that the tasks could not be read.
	trouble(message string)
}

// lines prints a line for each change, the oldest task first.
type lines struct {
	c    *cli
	seen map[string]string // what was printed last, by id
}

func (l *lines) show(tasks []watched) error {
	present := make(map[string]string, len(tasks))
	for i := len(tasks) - 1; i >= 0; i-- {
		t := &tasks[i]
		present[t.ID] = string(t.raw)
		if l.seen[t.ID] == present[t.ID] {
			continue
		}
		if l.c.json() {
			if err := l.c.printLine(t.raw); err != nil {
				return err
			}
			continue
		}
		due := showTime(t.DueAt.Format(time.RFC3339Nano), l.c.now().Location())
		fmt.Fprintf(l.c.out, "%s  %s  %s  due %s\n", cell(t.ID), cell(t.Status), cell(t.Type), due)
	}
	l.seen = present
	return l.c.out.err
}

func (l *lines) trouble(message string) { l.c.note("timewheel: %s", message) }

// screen draws a table over the one before.
type screen struct {
	c     *cli
	file  *os.File
	drawn int // lines
	width int
}

func (s *screen) show(tasks []watched) error {
	width, height, err := term.GetSize(int(s.file.Fd()))
	if err != nil || width < 1 || height < 4 {
		width, height = 80, 24
	}
	t, now := newTable("ID", "STATUS", "DUE", "TYPE"), s.c.now()
	room := height - 3 // the titles, what is left out, and where the cursor stands
	for i := range tasks {
		if i == room && len(tasks) > room {
			break
		}
		t.row(cell(tasks[i].ID), cell(tasks[i].Status), distance(tasks[i].DueAt, now), cell(tasks[i].Type))
	}
	text, drawn := t.lines(width-1), 1+min(room, len(tasks))
	if len(tasks) > room {
		text += fmt.Sprintf("and %d more\n", len(tasks)-room)
		drawn++
	}
	if s.drawn > 0 { // up to the titles, and clear what is below
		text = fmt.Sprintf("\033[%dA\r\033[J", s.drawn) + text
	}
	s.drawn, s.width = drawn, width
	fmt.Fprint(s.c.out, text)
	return s.c.out.err
}

// trouble stands below the table until it is drawn again.
func (s *screen) trouble(message string) {
	fmt.Fprintln(s.c.out, runewidth.Truncate(cell(message), s.width-1, "…"))
	s.drawn++
}
