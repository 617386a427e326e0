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

// slots is the number of hash slots of a cluster.
const slots = 16384

// Cluster is a Redis Cluster: its masters, and after them as many replicas or none.
type Cluster struct {
	Nodes    []*Redis
	buses    []*port
	password string
	masters  int
}

// StartCluster starts masters that share the hash slots evenly, each with a replica if
// replicas is true, and returns once all of them serve.
func StartCluster(ctx context.Context, masters int, replicas bool, timeout time.Duration) (c *Cluster, err error) {
	c = &Cluster{password: rand.Text(), masters: masters}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	n := masters
	if replicas {
		n *= 2
	}
	for range n {
		bus, err := reservePort(0)
		if err != nil {
			return nil, err
		}
		c.buses = append(c.buses, bus)
		node, err := StartRedis(ctx, Options{Password: c.password, Settings: map[string]string{
			"cluster-enabled":               "yes",
			"cluster-port":                  strconv.Itoa(bus.number),
			"cluster-node-timeout":          strconv.FormatInt(timeout.Milliseconds(), 10),
			"cluster-require-full-coverage": "no",
			"masterauth":                    c.password,
			"databases":                     "1",
			"repl-diskless-sync-delay":      "0",
			"shutdown-timeout":              "0",
		}})
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c, c.join(ctx)
}

func (c *Cluster) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for i, node := range c.Nodes {
		if i < c.masters {
			from, to := i*slots/c.masters, (i+1)*slots/c.masters-1
			if _, err := node.ask(ctx, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", from, to)); err != nil {
				return fmt.Errorf("share the slots: %w", err)
			}
		}
		meet := fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d %d", node.port.number, c.buses[i].number)
		if _, err := c.Nodes[0].ask(ctx, meet); i > 0 && err != nil {
			return fmt.Errorf("join the cluster: %w", err)
		}
	}
	if err := c.await(ctx, fmt.Sprintf("cluster_known_nodes:%d", len(c.Nodes))); err != nil {
		return err
	}
	for i, node := range c.Nodes[c.masters:] {
		id, err := c.Nodes[i].ask(ctx, "CLUSTER MYID")
		if err == nil {
			_, err = node.ask(ctx, "CLUSTER REPLICATE "+id)
		}
		if err != nil {
			return fmt.Errorf("replicate a master: %w", err)
		}
	}
	return c.await(ctx, "cluster_state:ok")
}

// await waits until all nodes say this of the cluster.
func (c *Cluster) await(ctx context.Context, line string) error {
	for _, node := range c.Nodes {
		for {
			about, err := node.ask(ctx, "CLUSTER INFO")
			if err == nil && strings.Contains(about, line) {
				break
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("wait for %s: %w", line, err)
			}
		}
	}
	return nil
}

// URL names all nodes.
func (c *Cluster) URL() string {
	hosts := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		hosts[i] = node.address()
	}
	return "redis+cluster://:" + c.password + "@" + strings.Join(hosts, ",")
}

// Close ends all of it.
func (c *Cluster) Close() error {
	err := closeAll(c.Nodes)
	for _, bus := range c.buses {
		err = errors.Join(err, bus.release())
	}
	return err
}
