package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// kinds tell the statements that commit by a piece of their text.
var kinds = map[string]string{
	"T0": "INSERT INTO tasks_open",
	"T2": "INSERT INTO starts",
	"T3": "ended.code IS NULL THEN 'done'",
	"T5": "INSERT INTO tasks_ended",
}

// Kinds are the statements that Postgres can be told to cut.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Moment is when a statement loses its connection.
type Moment string

// The moments.
const (
	// Before: the statement never reaches the server.
	Before Moment = "before"
	// While: it was sent, and nobody waits for what becomes of it.
	While Moment = "while"
	// After: the server has answered, and the answer gets lost.
	After Moment = "after"
)

// Moments lists all of them.
func Moments() []Moment { return []Moment{Before, While, After} }

// Rule says which statements lose their connection, and when.
type Rule struct {
	// Kind is T0, T2, T3 or T5.
	Kind string
	// Chance is the probability that a statement of the kind is hit.
	Chance float64
	Moment Moment
}

// Postgres is a proxy that reads along enough of the protocol to know when a
// statement commits.
type Postgres struct {
	Proxy
	rules atomic.Pointer[[]Rule]
	cut   map[string]*atomic.Int64 // statements that were cut, by kind
}

// NewPostgres makes a proxy to whatever target names at the time.
func NewPostgres(target func() string) (*Postgres, error) {
	p := &Postgres{cut: map[string]*atomic.Int64{}}
	for kind := range kinds {
		p.cut[kind] = &atomic.Int64{}
	}
	p.Rules()
	return p, p.Start(target, p.relay)
}

// Rules replaces the rules. None means that everything passes.
func (p *Postgres) Rules(rules ...Rule) { p.rules.Store(&rules) }

// CutOff is how many statements of a kind lost their reply up to now.
func (p *Postgres) CutOff(kind string) int { return int(p.cut[kind].Load()) }

// doom returns when a statement of the kind loses its connection, or nothing if no rule
// hits it.
func (p *Postgres) doom(kind string) Moment {
	for _, r := range *p.rules.Load() {
		if r.Kind == kind && rand.Float64() < r.Chance {
			p.cut[kind].Add(1)
			return r.Moment
		}
	}
	return ""
}

// relay serves one connection. A statement goes to the server as Bind, Execute
// and Sync, and others may stand before the Sync; the Sync is what lets them commit, and
// ReadyForQuery comes after.
func (p *Postgres) relay(client, server net.Conn) {
	var doomed atomic.Bool // the next answer is swallowed, and the connection cut
	p.Go(func() {
		p.upstream(client, server, &doomed)
		_ = server.Close() // ends the other direction
		_ = client.Close()
	})
	in, out := bufio.NewReaderSize(server, 64<<10), bufio.NewWriterSize(client, 64<<10)
	for {
		kind, frame, err := readFrame(in)
		lost := doomed.Load()
		if err != nil || lost && kind == 'Z' {
			return
		}
		if lost {
			continue
		}
		// What fails to be written now fails to be flushed.
		_, _ = out.Write(frame)
		if in.Buffered() == 0 {
			p.Hold()
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}

// upstream passes on what the client says until the connection ends, and dooms the
// answers that a rule hits.
func (p *Postgres) upstream(client, server net.Conn, doomed *atomic.Bool) {
	in, out := bufio.NewReaderSize(client, 64<<10), bufio.NewWriterSize(server, 64<<10)
	if passStartup(in, out) != nil {
		return
	}
	prepared := map[string]string{} // name of a prepared statement to its kind
	executing := ""                 // the kind of what the next Sync commits
	for {
		kind, frame, err := readFrame(in)
		if err != nil {
			return
		}
		moment := Moment("")
		switch kind {
		case 'P':
			var parse pgproto3.Parse
			err = parse.Decode(frame[5:])
			prepared[parse.Name] = kindOf(parse.Query)
		case 'B':
			var bind pgproto3.Bind
			err = bind.Decode(frame[5:])
			// Of several statements up to one Sync, one may be of a kind: they commit together.
			if kind := prepared[bind.PreparedStatement]; kind != "" {
				executing = kind
			}
		case 'S':
			moment = p.doom(executing)
			executing = ""
		}
		if err != nil || moment == Before {
			return // without its Sync the server forgets the statement
		}
		if moment != "" {
			doomed.Store(true)
		}
		_, _ = out.Write(frame) // as above
		if err := out.Flush(); err != nil {
			return
		}
		if moment == While {
			// The statement is on its way; what it does is its own affair.
			time.Sleep(rand.N(3 * time.Millisecond))
			return
		}
	}
}

func kindOf(query string) string {
	for kind, text := range kinds {
		if strings.Contains(query, text) {
			return kind
		}
	}
	return ""
}

// passStartup passes the first message on, which has no type.
func passStartup(in *bufio.Reader, out *bufio.Writer) error {
	head, err := in.Peek(4)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(out, in, int64(binary.BigEndian.Uint32(head))); err != nil {
		return err
	}
	return out.Flush()
}

// readFrame reads one message whole: its type, its length and its body.
func readFrame(in *bufio.Reader) (kind byte, frame []byte, err error) {
	head, err := in.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	// The largest batch of creates stays far below the bound.
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length > 1<<30 {
		return 0, nil, fmt.Errorf("message of %d bytes", length)
	}
	kind, frame = head[0], make([]byte, 1+length)
	_, err = io.ReadFull(in, frame)
	return kind, frame, err
}
