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

// table is which servers have which slots, masters first, as a node that runs has it.
func (c *Cluster) table(ctx context.Context) (table []redis.ClusterSlot, err error) {
	for _, node := range c.Nodes {
		err = WithRedis(node.URL(), 0, func(client *redis.Client) error {
			table, err = client.ClusterSlots(ctx).Result() //nolint:staticcheck // SA1019: Redis 6.2 knows no CLUSTER SHARDS.
			return err
		})
		if err == nil {
			return table, nil
		}
	}
	return nil, fmt.Errorf("read the slots of the cluster: %w", err)
}

func (c *Cluster) node(named redis.ClusterNode) (*Redis, error) {
	for _, node := range c.Nodes {
		if node.port.address() == named.Addr {
			return node, nil
		}
	}
	return nil, fmt.Errorf("the cluster names a node that is not its own: %s", named.Addr)
}

// Masters are the nodes that have slots.
func (c *Cluster) Masters(ctx context.Context) (masters []*Redis, err error) {
	table, err := c.table(ctx)
	for _, part := range table {
		node, err := c.node(part.Nodes[0])
		if err != nil {
			return nil, err
		}
		if !slices.Contains(masters, node) {
			masters = append(masters, node)
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
	if err != nil {
		return fmt.Errorf("find the slot of a key: %w", err)
	}
	has := slices.IndexFunc(table, func(s redis.ClusterSlot) bool { return s.Start <= slot && slot <= s.End })
	other := slices.IndexFunc(table, func(s redis.ClusterSlot) bool { return has >= 0 && s.Nodes[0].ID != table[has].Nodes[0].ID })
	if other < 0 {
		return fmt.Errorf("slot %d has no master, or there is no second one", slot)
	}
	source, target := table[has].Nodes[0], table[other].Nodes[0]
	from, err := c.node(source)
	to, err2 := c.node(target)
	err = errors.Join(err, err2)
	set := func(node *Redis, state, id string) {
		if err == nil {
			_, err = node.ask(ctx, "CLUSTER SETSLOT %d %s %s", slot, state, id)
		}
	}
	set(to, "IMPORTING", source.ID)
	set(from, "MIGRATING", target.ID)
	for most, moved := 1, 1; moved > 0 && err == nil; most = slotPage {
		if moved, err = from.moveKeys(ctx, slot, to, most); err == nil && most == 1 {
			half()
		}
	}
	// The new master first: the old one would send clients to it.
	set(to, "NODE", target.ID)
	set(from, "NODE", target.ID)
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
	for _, part := range table {
		if part.Nodes[0].Addr == master.port.address() && len(part.Nodes) > 1 {
			replica, err := c.node(part.Nodes[1])
			if err == nil {
				_, err = replica.ask(ctx, "CLUSTER FAILOVER")
			}
			return err
		}
	}
	return errors.New("the master has no replica")
}
