package wheel_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/wheel"
)

// reply makes of bytes what the client may make of any answer: a list of
// integers, texts, nils, doubles, booleans and lists.
func reply(data []byte) (parts []any) {
	for len(data) > 0 {
		kind := data[0]
		data = data[1:]
		var word [8]byte
		switch kind % 7 {
		case 0:
			n := copy(word[:], data)
			data = data[n:]
			parts = append(parts, int64(binary.LittleEndian.Uint64(word[:])))
		case 1, 2:
			n := min(int(kind/7), len(data))
			parts = append(parts, string(data[:n]))
			data = data[n:]
		case 3:
			parts = append(parts, nil)
		case 4:
			n := copy(word[:], data)
			data = data[n:]
			parts = append(parts, math.Float64frombits(binary.LittleEndian.Uint64(word[:])))
		case 5:
			parts = append(parts, kind > 100)
		case 6:
			return append(parts, reply(data))
		}
	}
	return parts
}

const someID = "01890a5d-ac96-774b-bcce-b302099a8057"

func FuzzParseClaim(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x00\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\xfd" + someID))
	f.Add([]byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x05\x04\x06\x08a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts := reply(data)
		claimed, _, err := wheel.ParseClaim(parts)
		if err != nil {
			require.Empty(t, claimed.IDs)
			return
		}
		require.Less(t, len(claimed.IDs), len(parts))
		for _, id := range claimed.IDs {
			require.Contains(t, parts, id.String(), "an id that the reply does not have could not be released")
		}
	})
}

func FuzzParseLead(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x741800000000123457\x081"))
	f.Add([]byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01"))
	f.Add([]byte("\x03\x03\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts := reply(data)
		right, built, err := wheel.ParseLead(parts)
		if err != nil {
			require.Zero(t, right)
			return
		}
		require.Len(t, parts, 2)
		require.Equal(t, parts[0], right)
		if !built.IsZero() {
			require.NotEmpty(t, parts[1])
		}
	})
}

func FuzzParseAgenda(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x16foo\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts := reply(data)
		agenda, err := wheel.ParseAgenda(parts)
		if err != nil {
			return
		}
		require.Len(t, parts, 1+3*len(agenda.Entries))
		for _, e := range agenda.Entries {
			require.GreaterOrEqual(t, e.Wait, time.Duration(0))
			require.Contains(t, parts, e.Type)
		}
	})
}

// What anybody publishes on the channel makes a worker look, and does no harm.
func FuzzParseWake(f *testing.F) {
	for _, message := range []string{"", "foo 12 3", "foo 12 3 all me", "foo x y all me", "foo -5 3 all other", "foo 1 2 all"} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		entry, concerned := wheel.ParseWake(message, "me", "all")
		if !concerned {
			require.Zero(t, entry)
			require.Contains(t, message, " all ")
		}
		if entry.Type != "" {
			require.Contains(t, message, " all me")
			require.GreaterOrEqual(t, entry.Wait, time.Duration(0))
		}
	})
}

func TestServersThatAreTooOldAreRefused(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"6.2": true, "6.2.0": true, "6.10.1": true, "7.0.15": true, "8.0": true, "10.0": true,
		"6.1.9": false, "6.0.16": false, "5.0": false, "6": false, "": false, "unknown": false,
	} {
		err := wheel.Server{Version: version}.Supported()
		require.Equal(t, ok, err == nil, "version %q", version)
		if err != nil {
			require.ErrorContains(t, err, "too old")
		}
	}
}

// The URL holds the password, so no error may quote it.
func TestAWrongURLIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "http://:secret@host/0", "redis://:secret@host:port/0", "redis://:secret@%zz/0", "redis://:secret@host/zero"} {
		_, err := wheel.Open(wheel.Options{URL: url})
		require.ErrorContains(t, err, "REDIS_URL")
		require.NotContains(t, err.Error(), "secret")
	}
}
