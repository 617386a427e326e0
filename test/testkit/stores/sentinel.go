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

// MasterName is what the Sentinels call their master.
const MasterName = "timewheel"

// Sentinel is a master, replicas of it, and the Sentinels that put one of those in its
// place.
type Sentinel struct {
	Nodes     []*Redis // the first one is the master at the beginning
	Sentinels []*Redis
	password  string
}

// StartSentinel starts a master, one replica and three Sentinels, and returns once these
// know each other. A master counts as down after downAfter.
func StartSentinel(ctx context.Context, downAfter time.Duration) (s *Sentinel, err error) {
	s = &Sentinel{password: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for i := range 2 {
		settings := map[string]string{"masterauth": s.password, "repl-diskless-sync-delay": "0", "shutdown-timeout": "0"}
		if i > 0 {
			settings["replicaof"] = "127.0.0.1 " + s.Nodes[0].portText()
		}
		node, err := StartRedis(ctx, Options{Settings: settings, Password: s.password})
		if err != nil {
			return nil, err
		}
		s.Nodes = append(s.Nodes, node)
	}
	for range 3 {
		name := "sentinel %s " + MasterName
		watcher, err := startRedis(ctx, Options{Password: s.password, Settings: map[string]string{
			fmt.Sprintf(name, "monitor"):                 "127.0.0.1 " + s.Nodes[0].portText() + " 2",
			fmt.Sprintf(name, "auth-pass"):               s.password,
			fmt.Sprintf(name, "down-after-milliseconds"): strconv.FormatInt(downAfter.Milliseconds(), 10),
			fmt.Sprintf(name, "failover-timeout"):        "3000",
			"sentinel sentinel-pass":                     s.password,
		}}, "--sentinel")
		if err != nil {
			return nil, err
		}
		s.Sentinels = append(s.Sentinels, watcher)
	}
	return s, s.awaitQuorum(ctx)
}

// awaitQuorum waits until each Sentinel knows the two others and the replica.
func (s *Sentinel) awaitQuorum(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for _, watcher := range s.Sentinels {
		for {
			about, err := watcher.ask(ctx, "INFO sentinel")
			if err == nil && strings.Contains(about, "slaves=1,sentinels=3") {
				break
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("wait until the sentinels know each other: %w", err)
			}
		}
	}
	return nil
}

// URL names the Sentinels and the master.
func (s *Sentinel) URL() string {
	hosts := make([]string, len(s.Sentinels))
	for i, watcher := range s.Sentinels {
		hosts[i] = watcher.address()
	}
	return "redis+sentinel://:" + s.password + "@" + strings.Join(hosts, ",") + "/" + MasterName + "/0?sentinel_password=" + s.password
}

// Master is the node that the Sentinels say is the master.
func (s *Sentinel) Master(ctx context.Context) (*Redis, error) {
	for _, watcher := range s.Sentinels {
		reply, err := watcher.ask(ctx, "SENTINEL get-master-addr-by-name "+MasterName)
		for _, node := range s.Nodes {
			if err == nil && strings.Contains(reply, node.portText()) {
				return node, nil
			}
		}
	}
	return nil, errors.New("no sentinel names a master")
}

// Failover puts the replica in the place of the master, as an operator does before he
// restarts that one.
func (s *Sentinel) Failover(ctx context.Context) error {
	if _, err := s.Sentinels[0].ask(ctx, "SENTINEL FAILOVER "+MasterName); err != nil {
		return fmt.Errorf("fail over: %w", err)
	}
	return nil
}

// Close ends all of it.
func (s *Sentinel) Close() error { return closeAll(append(s.Sentinels, s.Nodes...)) }

// closeAll kills servers, whose data is thrown away: in an orderly end they would wait for
// each other.
func closeAll(servers []*Redis) (err error) {
	for _, server := range servers {
		err = errors.Join(err, server.Kill(), server.Close())
	}
	return err
}
