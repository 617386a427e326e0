package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/keyring"
	"github.com/timewheel/timewheel/internal/postgres"
)

// keys knows who may call the API and changes that: Postgres decides, and what this node has
// changed is known to it at once.
type keys struct {
	*keyring.Ring
	*postgres.DB
}

// CreateKey makes a key, and returns it with its text.
func (k keys) CreateKey(ctx context.Context, wanted access.NewKey, maker *access.Key) (*access.Key, string, error) {
	made, text, err := CreateKey(ctx, k.DB, wanted, maker)
	if err == nil {
		_ = k.Refresh(ctx) // or it is asked for when it comes
	}
	return made, text, err
}

// RevokeKey returns once no node accepts the key: what another one has asked for before the commit
// holds for so long, whether or not that node can be told.
func (k keys) RevokeKey(ctx context.Context, id uuid.UUID) error {
	ctx = context.WithoutCancel(ctx)
	if err := k.DB.RevokeKey(ctx, id); err != nil {
		return err
	}
	committed := time.Now()
	_ = k.Refresh(ctx) // or this node knows it as late as the others
	time.Sleep(time.Until(committed.Add(keyring.Valid)))
	return nil
}

// CreateKey makes a key and stores it in a database. maker is the key that makes it; nil is whoever
// has the database, and so everything.
func CreateKey(ctx context.Context, db *postgres.DB, wanted access.NewKey, maker *access.Key) (*access.Key, string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, "", fmt.Errorf("make a key's id: %w", err)
	}
	text := access.NewText()
	digest, _ := access.DigestOf(text) // it has the form
	key := access.Key{ID: id, Name: wanted.Name, Hint: access.Hint(text), Scopes: wanted.Scopes, Types: wanted.Types}
	made, err := db.CreateKey(ctx, key, digest, wanted.ExpiresIn, maker)
	return made, text, err
}
