// Package keyring is what a node knows of the API's keys. It holds the digests of all that
// are good, and follows the table. What it knows is good for a second from when it was asked
// for: a key that is revoked is accepted by no node after that, whatever is lost, and with
// Postgres away none is accepted.
package keyring

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
)

const (
	// Valid is how long an answer of Postgres holds, from when it was asked for.
	Valid = time.Second
	// pace is how often a node asks for changes. That is one row of one table.
	pace = 300 * time.Millisecond
	// missPace bounds how often keys that are not known make it ask: texts that clients make up
	// are no way to load Postgres.
	missPace = 20 * time.Millisecond
	// patience bounds a question, whose answer is of use for less than Valid.
	patience = 900 * time.Millisecond
	// usePace is how often this node tells which keys were used.
	usePace = 5 * time.Second
	// logAgain is how often a failure is logged that lasts.
	logAgain = time.Minute
)

// Store is Postgres as the ring needs it.
type Store interface {
	// Keys reads the keys that are not revoked, unless their version is known.
	Keys(ctx context.Context, known uuid.UUID) (access.State, error)
	// NoteUse notes that keys are in use, at most twice a minute each.
	NoteUse(ctx context.Context, ids []uuid.UUID) error
}

// errLate says that an answer came, and too late to be of use.
var errLate = fmt.Errorf("read the keys: %w: the answer was late", task.ErrUnavailable)

// Ring knows the keys by their digests.
type Ring struct {
	store Store
	log   *slog.Logger
	known atomic.Pointer[snapshot]

	mu     sync.Mutex // held by the one that asks
	asked  time.Time  // when the last question began
	failed error      // what became of it
	// gone were used, which was not told, and are not good any more.
	gone []uuid.UUID
}

// snapshot is never changed, but for the marks of use.
type snapshot struct {
	version uuid.UUID
	keys    map[access.Digest]*entry
	// asked is when the question began that found this to be so, and now what Postgres' clock
	// was in between.
	asked, now time.Time
}

type entry struct {
	*access.Key
	used atomic.Bool
}

// New makes a ring that knows nothing yet.
func New(store Store, log *slog.Logger) *Ring {
	r := &Ring{store: store, log: log.With("component", "keyring")}
	r.known.Store(&snapshot{})
	return r
}

// Refresh asks for changes now.
func (r *Ring) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refresh(ctx)
}

func (r *Ring) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	known := r.known.Load()
	r.asked = time.Now()
	var state access.State
	state, r.failed = r.store.Keys(ctx, known.version)
	if r.failed != nil {
		return r.failed
	}
	next := &snapshot{version: state.Version, keys: known.keys, asked: r.asked, now: state.Now}
	if state.Version != known.version {
		next.keys = make(map[access.Digest]*entry, len(state.Keys))
		for digest, k := range state.Keys {
			e := &entry{Key: k}
			if before := known.keys[digest]; before != nil {
				e.used.Store(before.used.Load())
			}
			next.keys[digest] = e
		}
		for digest, before := range known.keys {
			if next.keys[digest] == nil && before.used.Swap(false) {
				r.gone = append(r.gone, before.ID)
			}
		}
	}
	r.known.Store(next)
	return nil
}

// find is what a snapshot says of a key. sure is false if it is too old to say so, and if it
// does not know the key, which may be new.
func (s *snapshot) find(digest access.Digest) (e *entry, good, sure bool) {
	age := time.Since(s.asked)
	e = s.keys[digest]
	if e == nil || age > Valid {
		return nil, false, false
	}
	return e, e.ExpiresAt == nil || s.now.Add(age).Before(*e.ExpiresAt), true
}

// Find is the key of a text, or access.ErrNoSuchKey if there is none that is good now. Any other
// error says that Postgres could not be asked. A key that another node made a moment ago is asked
// for; all that wait for the same pace are answered by one question, which began after they came.
func (r *Ring) Find(ctx context.Context, text string) (*access.Key, error) {
	digest, ok := access.DigestOf(text)
	if !ok {
		return nil, access.ErrNoSuchKey
	}
	e, good, sure := r.known.Load().find(digest)
	if !sure {
		var err error
		if e, good, err = r.ask(ctx, digest); err != nil {
			return nil, err
		}
	}
	if !good {
		return nil, access.ErrNoSuchKey
	}
	if !e.used.Load() { // so that no two processors write to it all the time
		e.used.Store(true)
	}
	return e.Key, nil
}

func (r *Ring) ask(ctx context.Context, digest access.Digest) (e *entry, good bool, err error) {
	came := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e, good, sure := r.known.Load().find(digest)
	if sure {
		return e, good, nil
	}
	if !r.asked.After(came) {
		time.Sleep(time.Until(r.asked.Add(missPace)))
		// Others wait for the answer, so it does not depend on this client.
		_ = r.refresh(context.WithoutCancel(ctx)) // kept in failed
	}
	if r.failed != nil {
		return nil, false, r.failed
	}
	known := r.known.Load()
	if e, good, sure = known.find(digest); !sure && time.Since(known.asked) > Valid {
		return nil, false, errLate
	}
	return e, good, nil
}

// Run follows the changes and tells which keys were used, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	asking, telling := time.NewTicker(pace), time.NewTicker(usePace)
	defer asking.Stop()
	defer telling.Stop()
	var tellers sync.WaitGroup
	defer tellers.Wait()
	tellers.Go(func() {
		for {
			select {
			case <-ctx.Done():
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
				r.tell(last)
				cancel()
				return
			case <-telling.C:
				r.tell(ctx)
			}
		}
	})
	var logged time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asking.C:
		}
		if err := r.Refresh(ctx); err != nil && ctx.Err() == nil && time.Since(logged) > logAgain {
			r.log.Warn("no key is accepted until Postgres says which are good", "error", err)
			logged = time.Now()
		}
	}
}

// tell notes in Postgres which keys were used since it did so last. What fails is left: the next
// use tells as much.
func (r *Ring) tell(ctx context.Context) {
	r.mu.Lock()
	used := r.gone
	r.gone = nil
	r.mu.Unlock()
	for _, e := range r.known.Load().keys {
		if e.used.Swap(false) {
			used = append(used, e.ID)
		}
	}
	if len(used) == 0 {
		return
	}
	if err := r.store.NoteUse(ctx, used); err != nil {
		r.log.Debug("the last use of keys is not noted", "error", err)
	}
}

// Admins is how many keys with the scope admin are known.
func (r *Ring) Admins() (n int) {
	for _, e := range r.known.Load().keys {
		if e.Scopes.Has(access.Admin) {
			n++
		}
	}
	return n
}
