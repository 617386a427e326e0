package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// console writes whole lines of one program to a terminal or file that it shares with
// others, each after the program's name.
type console struct {
	mu     *sync.Mutex
	out    io.Writer
	colour bool
	tag    string
	rest   []byte // the beginning of a line that has not ended yet
}

func newConsole(file *os.File) *console {
	c := &console{mu: &sync.Mutex{}, out: file, colour: term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""}
	return c.named("stack", 0)
}

// named is a console for another program, in a colour of its own on a terminal.
func (c *console) named(name string, colour int) *console {
	tag := fmt.Sprintf("%-9s|", name)
	if c.colour {
		tag = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 32+colour%5, tag)
	}
	return &console{mu: c.mu, out: c.out, colour: c.colour, tag: tag}
}

// say prints a line.
func (c *console) say(format string, arguments ...any) {
	c.show(c.tag + " " + fmt.Sprintf(format, arguments...))
}

// show prints lines as they are.
func (c *console) show(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.out, text)
}

// Write takes what the program prints.
func (c *console) Write(text []byte) (int, error) {
	c.rest = append(c.rest, text...)
	for {
		line, rest, whole := bytes.Cut(c.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		c.say("%s", line)
		c.rest = rest
	}
}

// welcome says where everything listens and how to look inside.
func (s *stack) welcome(services []*service) string {
	var workers strings.Builder
	for _, worker := range services[1:] {
		fmt.Fprintf(&workers, "  %-10s %s   (health: /readyz, metrics: /metrics)\n", worker.name, worker.url())
	}
	return fmt.Sprintf(`
timewheel is up

  stores     %[1]s
  api        %[2]s   (health: /readyz, metrics: /metrics, contract: /openapi.json)
%[3]s
submit a task, and follow it:
  curl -s %[2]s/task -H 'Content-Type: application/json' \
    -d "{\"task_type\": \"foo\", \"execution_time\": \"$(date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ)\"}"
  curl -s '%[2]s/task?limit=5'
what is next in Redis, and what Postgres knows:
  %[4]s ZRANGE timewheel:{foo}:due 0 9 WITHSCORES
  %[5]s -c "SELECT status, count(*) FROM tasks GROUP BY 1"

Ctrl-C stops everything
`, s.stores.where, services[0].url(), workers.String(), s.stores.redisCLI, s.stores.psql)
}
