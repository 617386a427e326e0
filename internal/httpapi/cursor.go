package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// cursorVersion leads every cursor, so that a later form can be told apart. It is followed by
// what the list is of, and the place where its next page begins.
const cursorVersion = 2

const (
	cursorHash = 8
	cursorSize = 1 + cursorHash + 8 + len(task.ID{})
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// encodeCursor names a place in the list of a filter.
func encodeCursor(filter *task.Filter, place task.Place) string {
	raw := append(make([]byte, 0, cursorSize), cursorVersion)
	raw = append(raw, listHash(filter)...)
	var due int64
	if filter.Order == task.SoonestDue {
		due = place.DueAt.UnixMicro()
	}
	raw = binary.BigEndian.AppendUint64(raw, uint64(due))
	return cursorEncoding.EncodeToString(append(raw, place.ID[:]...))
}

// decodeCursor reads a cursor that was made for the list of this filter.
func decodeCursor(cursor string, filter *task.Filter) (place task.Place, err error) {
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) != cursorSize || raw[0] != cursorVersion || strings.ContainsAny(cursor, "\r\n") {
		return place, errInvalidCursor
	}
	raw = raw[1:]
	if !bytes.Equal(raw[:cursorHash], listHash(filter)) {
		return place, errOtherCursor
	}
	due := int64(binary.BigEndian.Uint64(raw[cursorHash:])) //nolint:gosec // as above
	place.ID = task.ID(raw[cursorHash+8:])
	if filter.Order == task.SoonestDue {
		place.DueAt = time.UnixMicro(due).UTC()
		if place.DueAt.Before(task.MinTime) || place.DueAt.After(task.MaxTime) {
			return place, errInvalidCursor
		}
	} else if due != 0 {
		return place, errInvalidCursor
	}
	return place, nil
}

// listHash tells lists apart: by what picks their tasks, and by their order.
func listHash(filter *task.Filter) []byte {
	sum := sha256.Sum256([]byte(filterQuery(filter).Encode()))
	return sum[:cursorHash]
}
