package proxy

import (
	"bytes"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/lua"
)

// claimHash is how Redis names the script of a claim.
var claimHash = []byte(redis.NewScript(lua.Claim).Hash())

// Redis is a proxy for Redis. It knows a claim when it sees one.
type Redis struct {
	Proxy
	// loseClaims is how many more claims' replies will be lost.
	loseClaims atomic.Int64
}

// NewRedis makes a proxy to whatever target names at the time.
func NewRedis(target func() string) (*Redis, error) {
	r := &Redis{}
	return r, r.Start(target, r.relay)
}

// LoseClaims makes the replies of the next n claims that hand out tasks get
// lost, with their connections.
func (r *Redis) LoseClaims(n int64) { r.loseClaims.Store(n) }

func (r *Redis) relay(client, server net.Conn) {
	var claiming atomic.Bool
	r.Go(func() {
		pump(server, client, func(request []byte) bool {
			claiming.Store(bytes.Contains(request, claimHash))
			return true
		})
		_ = server.Close() // ends the other direction
	})
	pump(client, server, func(reply []byte) bool {
		// "*2" is the reply of a claim that found nothing to hand out.
		if claiming.Load() && len(reply) > 2 && reply[0] == '*' && string(reply[:3]) != "*2\r" &&
			r.loseClaims.Add(-1) >= 0 {
			return false
		}
		r.Hold()
		return true
	})
}

// pump copies one direction, whole reads at a time, until either side ends.
// look may refuse to pass a chunk on, which ends the connection.
func pump(to, from net.Conn, look func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !look(buffer[:n]) {
			return
		}
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
