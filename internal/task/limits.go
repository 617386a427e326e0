package task

import "time"

// Limits of what a client may ask for. The API states them in its schema.
const (
	// MaxPayload is the largest request body, in bytes.
	MaxPayload = 256 << 10
	// MaxAttemptsLimit bounds the retries that a user may opt into.
	MaxAttemptsLimit = 100
	// MaxTypeLength and MaxKeyLength are in bytes.
	MaxTypeLength = 64
	MaxKeyLength  = 255
	// MaxTypes is how many types may be declared.
	MaxTypes = 10_000
	// DefaultPage and MaxPage bound one page of a list, in tasks.
	DefaultPage = 50
	MaxPage     = 1000
)

// The execution times that are accepted: those that both stores and RFC 3339
// hold exactly.
var (
	MinTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	MaxTime = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)
