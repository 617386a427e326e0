package access

import (
	"time"

	"github.com/google/uuid"
)

// Event is a row of the audit: what a key changed or was refused.
type Event struct {
	ID      uuid.UUID
	At      time.Time
	KeyID   uuid.UUID
	KeyName string
	// Method and Route are the request's, as the router declares it; Object is what the route
	// names: the id of a task, the name of a type, or nothing.
	Method, Route, Object string
	RequestID             string
	// Status is that of the answer. Nil: the node died before it had one, so the change may or
	// may not have been carried out.
	Status *int
}

// Place is that of an event in the audit, which is ordered by time.
type Place struct {
	At time.Time
	ID uuid.UUID
}

// State is what a node reads of the keys.
type State struct {
	// Version names this state: another one has another version.
	Version uuid.UUID
	// Now is the time at which it was read, by the store's clock.
	Now time.Time
	// Keys are those that are not revoked, by their digests. Nil: the version is the one that
	// is known.
	Keys map[Digest]*Key
}
