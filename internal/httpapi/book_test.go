package httpapi_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
)

// book is Keys in memory.
type book struct {
	mu     sync.Mutex
	keys   map[access.Digest]*access.Key
	events []access.Event
	fail   error
}

func (b *book) Find(_ context.Context, text string) (*access.Key, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	digest, ok := access.DigestOf(text)
	k := b.keys[digest]
	switch {
	case b.fail != nil:
		return nil, b.fail
	case !ok, k == nil, k.RevokedAt != nil, k.ExpiresAt != nil && k.ExpiresAt.Before(time.Now()):
		return nil, access.ErrNoSuchKey
	}
	return k, nil
}

func (b *book) CreateKey(_ context.Context, wanted access.NewKey, maker *access.Key) (*access.Key, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := access.NewText()
	digest, _ := access.DigestOf(text)
	k := &access.Key{
		ID: uuid.New(), Name: wanted.Name, Hint: access.Hint(text), Scopes: wanted.Scopes, Types: wanted.Types, CreatedAt: time.Now(),
	}
	if maker != nil {
		k.MadeBy = maker.ID
	}
	if wanted.ExpiresIn != 0 {
		at := time.Now().Add(wanted.ExpiresIn)
		k.ExpiresAt = &at
	}
	if b.keys == nil {
		b.keys = map[access.Digest]*access.Key{}
	}
	b.keys[digest] = k
	return k, text, nil
}

// make makes a key and returns its text.
func (b *book) make(scopes access.Scopes, types ...string) (*access.Key, string) {
	k, text, _ := b.CreateKey(context.Background(), access.NewKey{Name: "test", Scopes: scopes, Types: types}, nil)
	return k, text
}

func (b *book) ListKeys(context.Context) (all []access.Key, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.keys {
		all = append(all, *k)
	}
	return all, nil
}

func (b *book) GetKey(_ context.Context, id uuid.UUID) (*access.Key, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.keys {
		if k.ID == id {
			return k, nil
		}
	}
	return nil, access.ErrNoSuchKey
}

func (b *book) RevokeKey(ctx context.Context, id uuid.UUID) error {
	k, err := b.GetKey(ctx, id)
	if err == nil {
		now := time.Now()
		k.RevokedAt = &now
	}
	return err
}

func (b *book) Audit(_ context.Context, e access.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.At = time.Now()
	b.events = append(b.events, e)
	return nil
}

func (b *book) AuditOutcome(_ context.Context, e access.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.events {
		if b.events[i].ID == e.ID {
			b.events[i].Status, b.events[i].Object = e.Status, e.Object
		}
	}
	return nil
}

func (b *book) ListAudit(_ context.Context, before *access.Place, limit int) (page []access.Event, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range slices.Backward(b.events) {
		if len(page) < limit && (before == nil || e.ID.String() < before.ID.String()) {
			page = append(page, e)
		}
	}
	return page, nil
}

// outcomes are the method, route and status of what the audit has, oldest first.
func (b *book) outcomes() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		status := "-"
		if e.Status != nil {
			status = strconv.Itoa(*e.Status)
		}
		all = append(all, e.Method+" "+e.Route+" "+status)
	}
	return all
}
