// Package access is what a key of the API is, and what it permits. It knows neither where
// keys are stored nor how they are sent.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What the parts of the system agree on.
var (
	// ErrNoSuchKey: there is no such key, or it has expired or was revoked.
	ErrNoSuchKey = errors.New("key not found")
	// ErrTooManyKeys: there is no room for another key.
	ErrTooManyKeys = errors.New("there are as many keys as there may be")
	// ErrBeyond: the key would permit more than the one that makes it.
	ErrBeyond = errors.New("the key would permit more than its maker")
)

// Bounds of a key.
const (
	// MaxKeys is how many keys there may be that are neither revoked nor expired.
	MaxKeys = 10_000
	// MaxName is the longest name of a key, in bytes.
	MaxName = 100
	// MaxTypes is how many prefixes of types a key may have.
	MaxTypes = 100
)

// Key is a key without its text, which nobody keeps.
type Key struct {
	ID   uuid.UUID
	Name string
	// Hint is how the key's text begins: too little to guess the rest.
	Hint   string
	Scopes Scopes
	// Types are prefixes of the names of task types. Without one the key is bound to none.
	Types []string
	// MadeBy is the key that made it, or the zero UUID.
	MadeBy    uuid.UUID
	CreatedAt time.Time
	// ExpiresAt, RevokedAt and LastUsedAt may be nil.
	ExpiresAt, RevokedAt, LastUsedAt *time.Time
}

// Bound reports whether the key reaches some types only.
func (k *Key) Bound() bool { return len(k.Types) > 0 }

// Reaches reports whether the key may see and touch tasks of a type. Prefixes are compared as
// plain text.
func (k *Key) Reaches(taskType string) bool {
	if !k.Bound() {
		return true
	}
	for _, prefix := range k.Types {
		if strings.HasPrefix(taskType, prefix) {
			return true
		}
	}
	return false
}

// Covers reports whether all that other permits is permitted by k too, apart from its expiry.
func (k *Key) Covers(other *Key) bool {
	if !k.Bound() {
		return true
	}
	if !other.Bound() || other.Scopes&^k.Scopes != 0 {
		return false
	}
	for _, prefix := range other.Types {
		if !k.Reaches(prefix) {
			return false
		}
	}
	return true
}

// Digest is the SHA-256 of a key's text.
type Digest [sha256.Size]byte

const (
	prefix = "tw_"
	// length is that of a key's text: the prefix, and 256 bits in base 32.
	length = len(prefix) + 52
	// hintLength is how much of a text is shown: 25 of its bits.
	hintLength = len(prefix) + 5
)

// encoding has no characters at which a double click ends.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewText makes the text of a key, of 256 random bits. It is the only copy.
func NewText() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // it never fails
	return prefix + encoding.EncodeToString(bits[:])
}

// Hint is the part of a key's text that may be shown.
func Hint(text string) string { return text[:hintLength] }

// DigestOf is the digest of a text that has a key's form.
//
// Keys are looked up by it, in a map and in an index, and those need no time that is constant:
// who sends a text does not choose its digest, so what the time tells about a digest that is
// near helps to find neither a digest nor a text.
func DigestOf(text string) (d Digest, ok bool) {
	if len(text) != length || !strings.HasPrefix(text, prefix) {
		return d, false
	}
	var whole [length]byte // on the stack
	copy(whole[:], text)
	return sha256.Sum256(whole[:]), true
}

type contextKey struct{}

// With gives a request its key.
func With(ctx context.Context, k *Key) context.Context {
	return context.WithValue(ctx, contextKey{}, k)
}

// From is the key of a request, or nil if none was asked for.
func From(ctx context.Context) *Key {
	k, _ := ctx.Value(contextKey{}).(*Key)
	return k
}
