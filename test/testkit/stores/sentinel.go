package stores

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// masterName is what the Sentinels call their master.
const masterName = "timewheel"

// Sentinel is a master, a replica of it, and the Sentinels that put that one in its
// place.
type Sentinel struct {
	fleet
	nodes, sentinels []*Redis
}

// StartSentinel starts a master, one replica and three Sentinels, and returns once these
// know each other. A master counts as down after downAfter.
func StartSentinel(ctx context.Context, downAfter time.Duration) (*Sentinel, error) {
	s := &Sentinel{fleet: fleet{password: rand.Text()}}
	if err := s.start(ctx, downAfter); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sentinel) start(ctx context.Context, downAfter time.Duration) error {
	master, err := s.add(ctx, s.replicating(nil))
	if err != nil {
		return err
	}
	replica, err := s.add(ctx, s.replicating(map[string]string{"replicaof": fmt.Sprintf("127.0.0.1 %d", master.port.number)}))
	if err != nil {
		return err
	}
	s.nodes = []*Redis{master, replica}
	for range 3 {
		watcher, err := s.add(ctx, map[string]string{
			"sentinel monitor " + masterName:                 fmt.Sprintf("127.0.0.1 %d 2", master.port.number),
			"sentinel auth-pass " + masterName:               s.password,
			"sentinel down-after-milliseconds " + masterName: strconv.FormatInt(downAfter.Milliseconds(), 10),
			"sentinel failover-timeout " + masterName:        "3000",
			"sentinel sentinel-pass":                         s.password,
		}, "--sentinel")
		if err != nil {
			return err
		}
		s.sentinels = append(s.sentinels, watcher)
	}
	return awaitWords(ctx, s.sentinels, "INFO sentinel", "slaves=1,sentinels=3")
}

// URL names the Sentinels and the master.
func (s *Sentinel) URL() string {
	return "redis+sentinel://:" + s.password + "@" + hosts(s.sentinels) + "/" + masterName + "/0?sentinel_password=" + s.password
}

// Master is the node that the Sentinels say is the master.
func (s *Sentinel) Master(ctx context.Context) (*Redis, error) {
	for _, watcher := range s.sentinels {
		reply, err := watcher.ask(ctx, "INFO sentinel")
		for _, node := range s.nodes {
			if err == nil && strings.Contains(reply, "address="+node.port.address()+",") {
				return node, nil
			}
		}
	}
	return nil, errors.New("no sentinel names a master")
}

// Failover puts the replica in the place of the master, as an operator does before he
// restarts that one.
func (s *Sentinel) Failover(ctx context.Context) error {
	_, err := s.sentinels[0].ask(ctx, "SENTINEL FAILOVER "+masterName)
	return err
}
