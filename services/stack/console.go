package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// console writes whole lines of many programs to one terminal or file.
type console struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
}

func newConsole(file *os.File) *console {
	return &console{out: file, colour: term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""}
}

// say prints words of the stack's own.
func (c *console) say(format string, arguments ...any) {
	c.line(c.tag("stack", 0), []byte(fmt.Sprintf(format, arguments...)))
}

// show prints a text of many lines as it is.
func (c *console) show(text string) { c.line("\n", []byte(text)) }

func (c *console) line(tag string, text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// There is nowhere else to report a console that is gone.
	_, _ = fmt.Fprintf(c.out, "%s %s\n", tag, text)
}

// tag is the name in a column, in a colour of its own on a terminal.
func (c *console) tag(name string, colour int) string {
	column := fmt.Sprintf("%-9s|", name)
	if !c.colour {
		return column
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", 32+colour%5, column)
}

// prefixed is a writer that puts a name before each line.
func (c *console) prefixed(name string, colour int) io.Writer {
	return &prefixed{console: c, tag: c.tag(name, 1+colour)}
}

type prefixed struct {
	console *console
	tag     string
	rest    []byte // the beginning of a line that has not ended yet
}

func (p *prefixed) Write(text []byte) (int, error) {
	p.rest = append(p.rest, text...)
	for {
		line, rest, whole := bytes.Cut(p.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		p.console.line(p.tag, line)
		p.rest = rest
	}
}

// welcome says where everything listens and how to look inside.
func welcome(services []*service, stores *storeSet) string {
	var text strings.Builder
	line := func(format string, arguments ...any) { fmt.Fprintf(&text, format+"\n", arguments...) }
	api := local(services[0].address)
	line("timewheel is up\n")
	line("  stores     %s", stores.where)
	line("  api        %s   (health: /readyz, metrics: /metrics, contract: /openapi.json)", api)
	for _, worker := range services[1:] {
		line("  %-10s %s   (health: /readyz, metrics: /metrics)", worker.name, local(worker.address))
	}
	line("\nsubmit a task, and follow it:")
	line(`  curl -s %s/task -H 'Content-Type: application/json' \`, api)
	line(`    -d "{\"task_type\": \"foo\", \"execution_time\": \"$(date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ)\"}"`)
	line("  curl -s '%s/task?limit=5'", api)
	line("what is next in Redis, and what Postgres knows:")
	line("  %s ZRANGE timewheel:{foo}:due 0 9 WITHSCORES", stores.redisCLI)
	line(`  %s -c "SELECT status, count(*) FROM tasks GROUP BY 1"`, stores.psql)
	line("\nCtrl-C stops everything")
	return text.String()
}

// local is the URL of a LISTEN_ADDR as seen from this machine.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // The service itself will say what is wrong with it.
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
