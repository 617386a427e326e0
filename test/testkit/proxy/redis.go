package proxy

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // G505: it is how Redis names its scripts.
	"encoding/hex"
	"net"
	"sync/atomic"

	"github.com/timewheel/timewheel/lua"
)

// Redis is a proxy for Redis. It knows a claim when it sees one.
type Redis struct {
	Proxy
	claim []byte
	// loseClaims is how many more claims' replies will be lost.
	loseClaims atomic.Int64
}

// NewRedis makes a proxy to whatever target names at the time.
func NewRedis(target func() string) (*Redis, error) {
	sum := sha1.Sum([]byte(lua.Claim)) //nolint:gosec // G401: as above.
	r := &Redis{claim: []byte(hex.EncodeToString(sum[:]))}
	return r, r.Start(target, r.relay)
}

// LoseClaims makes the replies of the next n claims that hand out tasks get
// lost, with their connections.
func (r *Redis) LoseClaims(n int64) { r.loseClaims.Store(n) }

func (r *Redis) relay(client, server net.Conn) {
	var claiming atomic.Bool
	r.Go(func() {
		r.Pump(server, client, func(request []byte) bool {
			claiming.Store(bytes.Contains(request, r.claim))
			return true
		})
		_ = server.Close() // ends the other direction
	})
	r.Pump(client, server, func(reply []byte) bool {
		// "*2" is the reply of a claim that found nothing to hand out.
		if claiming.Load() && len(reply) > 2 && reply[0] == '*' && string(reply[:3]) != "*2\r" &&
			r.loseClaims.Add(-1) >= 0 {
			return false
		}
		r.Hold()
		return true
	})
}
