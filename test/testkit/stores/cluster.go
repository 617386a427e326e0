package stores

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// slots is the number of hash slots of a cluster.
	slots = 16384
	// slotPage is how many keys of a slot are moved at a time.
	slotPage = 1000
)

// Cluster is a Redis Cluster: its masters, and after them as many replicas or none.
type Cluster struct {
	fleet
	Nodes []*Redis
}

// StartCluster starts masters that share the hash slots evenly, each with a replica if
// replicas is true, and returns once all of them serve.
func StartCluster(ctx context.Context, masters int, replicas bool, timeout time.Duration) (*Cluster, error) {
	c := &Cluster{fleet: fleet{password: rand.Text()}}
	n := masters
	if replicas {
		n *= 2
	}
	if err := c.start(ctx, masters, n, timeout); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, masters, n int, timeout time.Duration) error {
	for i := range n {
		bus, err := reservePort(0)
		if err != nil {
			return err
		}
		c.ports = append(c.ports, bus)
		node, err := c.add(ctx, c.replicating(map[string]string{
			"cluster-enabled":               "yes",
			"cluster-port":                  strconv.Itoa(bus.number),
			"cluster-node-timeout":          strconv.FormatInt(timeout.Milliseconds(), 10),
			"cluster-require-full-coverage": "no",
			"databases":                     "1",
		}))
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, node)
		if i < masters {
			_, err = node.ask(ctx, "CLUSTER ADDSLOTSRANGE %d %d", i*slots/masters, (i+1)*slots/masters-1)
		}
		if i > 0 && err == nil {
			_, err = c.Nodes[0].ask(ctx, "CLUSTER MEET 127.0.0.1 %d %d", node.port.number, bus.number)
		}
		if err != nil {
			return err
		}
	}
	if err := awaitWords(ctx, c.Nodes, "CLUSTER INFO", fmt.Sprintf("cluster_known_nodes:%d", n)); err != nil {
		return err
	}
	for i, replica := range c.Nodes[masters:] {
		id, err := c.Nodes[i].ask(ctx, "CLUSTER MYID")
		if err == nil {
			_, err = replica.ask(ctx, "CLUSTER REPLICATE %s", id)
		}
		if err != nil {
			return err
		}
	}
	return awaitWords(ctx, c.Nodes, "CLUSTER INFO", "cluster_state:ok")
}

// URL names all nodes.
func (c *Cluster) URL() string { return "redis+cluster://:" + c.password + "@" + hosts(c.Nodes) }

// part is a range of slots, and the servers that have it, the master first.
type part struct {
	redis.ClusterSlot
	servers []*Redis
}

// table is all parts, as a node that runs has them.
func (c *Cluster) table(ctx context.Context) (table []part, err error) {
	var ranges []redis.ClusterSlot
	own := map[string]*Redis{}
	for _, node := range c.Nodes {
		own[node.port.address()] = node
		if len(ranges) == 0 {
			err = WithRedis(node.URL(), 0, func(client *redis.Client) error {
				ranges, err = client.ClusterSlots(ctx).Result() //nolint:staticcheck // SA1019: Redis 6.2 knows no CLUSTER SHARDS.
				return err
			})
		}
	}
	for _, slots := range ranges {
		p := part{ClusterSlot: slots}
		for _, node := range slots.Nodes {
			p.servers = append(p.servers, own[node.Addr])
		}
		table = append(table, p)
	}
	if len(table) == 0 {
		return nil, errors.Join(errors.New("no node of the cluster tells its slots"), err)
	}
	return table, nil
}

// Masters are the nodes that have slots.
func (c *Cluster) Masters(ctx context.Context) (masters []*Redis, err error) {
	table, err := c.table(ctx)
	for _, p := range table {
		if !slices.Contains(masters, p.servers[0]) {
			masters = append(masters, p.servers[0])
		}
	}
	return masters, err
}

// MoveSlot moves the slot of a key to another master, as an operator does who makes a
// cluster larger. It calls half when one key of the slot has been moved and the others have not.
func (c *Cluster) MoveSlot(ctx context.Context, key string, half func()) error {
	table, err := c.table(ctx)
	if err != nil {
		return err
	}
	text, err := c.Nodes[0].ask(ctx, "CLUSTER KEYSLOT %s", key)
	if err != nil {
		return err
	}
	slot, err := strconv.Atoi(text)
	has := slices.IndexFunc(table, func(p part) bool { return p.Start <= slot && slot <= p.End })
	other := slices.IndexFunc(table, func(p part) bool { return has >= 0 && p.servers[0] != table[has].servers[0] })
	if err != nil || other < 0 {
		return fmt.Errorf("slot %s has no master, or there is no second one", text)
	}
	from, to := table[has], table[other]
	set := func(p part, state string, other part) {
		if err == nil {
			_, err = p.servers[0].ask(ctx, "CLUSTER SETSLOT %d %s %s", slot, state, other.Nodes[0].ID)
		}
	}
	set(to, "IMPORTING", from)
	set(from, "MIGRATING", to)
	for most, moved := 1, 1; moved > 0 && err == nil; most = slotPage {
		if moved, err = from.servers[0].moveKeys(ctx, slot, to.servers[0], most); err == nil && most == 1 {
			half()
		}
	}
	// The new master first: the old one would send clients to it.
	set(to, "NODE", to)
	set(from, "NODE", to)
	return err
}

// moveKeys moves at most so many keys of a slot, and says how many.
func (r *Redis) moveKeys(ctx context.Context, slot int, to *Redis, most int) (moved int, err error) {
	err = WithRedis(r.URL(), 0, func(client *redis.Client) error {
		keys, err := client.ClusterGetKeysInSlot(ctx, slot, most).Result()
		for moved = 0; moved < len(keys) && err == nil; moved++ {
			err = client.Do(ctx, "MIGRATE", "127.0.0.1", to.port.number, keys[moved], 0, 5000, "AUTH", to.password).Err()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("move the keys of a slot: %w", err)
	}
	return moved, nil
}

// Failover makes a replica the master of what its master has, as an operator does before he
// restarts that one.
func (c *Cluster) Failover(ctx context.Context, master *Redis) error {
	table, err := c.table(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(table, func(p part) bool { return p.servers[0] == master && len(p.servers) > 1 })
	if i < 0 {
		return errors.New("the master has no replica")
	}
	_, err = table[i].servers[1].ask(ctx, "CLUSTER FAILOVER")
	return err
}
