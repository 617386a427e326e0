package stores

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// slotPage is how many keys of a slot are moved at a time.
const slotPage = 1000

// member is one node as the cluster's table has it.
type member struct {
	id, address string
	master      bool // which serves, and has slots
	slots       string
}

// members reads the cluster's table as a node that runs has it.
func (c *Cluster) members(ctx context.Context) (all []member, err error) {
	table := ""
	for _, node := range c.Nodes {
		if table, err = node.ask(ctx, "CLUSTER NODES"); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the nodes of the cluster: %w", err)
	}
	for line := range strings.Lines(table) {
		// id address@bus flags master ping pong epoch state slots...
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		address, _, _ := strings.Cut(f[1], "@")
		flags := strings.Split(f[2], ",")
		all = append(all, member{
			id: f[0], address: address, slots: strings.Join(f[8:], " "),
			master: slices.Contains(flags, "master") && !slices.Contains(flags, "fail") && len(f) > 8,
		})
	}
	return all, nil
}

// Masters are the nodes that have slots.
func (c *Cluster) Masters(ctx context.Context) (nodes []*Redis, err error) {
	all, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if i := slices.IndexFunc(c.Nodes, func(n *Redis) bool { return n.address() == m.address }); m.master && i >= 0 {
			nodes = append(nodes, c.Nodes[i])
		}
	}
	return nodes, nil
}

// owner finds the master that has a slot, and another one.
func owner(all []member, slot int) (has, other member, err error) {
	for _, m := range all {
		if !m.master {
			continue
		}
		if m.has(slot) {
			has = m
		} else {
			other = m
		}
	}
	if has.id == "" || other.id == "" {
		return has, other, fmt.Errorf("slot %d has no master, or there is no second one", slot)
	}
	return has, other, nil
}

func (m member) has(slot int) bool {
	for _, part := range strings.Fields(m.slots) {
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			continue // a slot that is on its way
		}
		to := from
		if ranged {
			to, _ = strconv.Atoi(last) // after a number and a dash there is one
		}
		if from <= slot && slot <= to {
			return true
		}
	}
	return false
}

// MoveSlot moves the slot of a key to another master, as an operator does who makes a
// cluster larger. It calls half when one key of the slot has been moved and the others have not.
func (c *Cluster) MoveSlot(ctx context.Context, key string, half func()) error {
	all, err := c.members(ctx)
	if err != nil {
		return err
	}
	text, err := c.Nodes[0].ask(ctx, "CLUSTER KEYSLOT "+key)
	if err != nil {
		return fmt.Errorf("find the slot of a key: %w", err)
	}
	slot, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("find the slot of a key: %w", err)
	}
	source, target, err := owner(all, slot)
	if err != nil {
		return err
	}
	from, to := c.at(source), c.at(target)
	if from == nil || to == nil {
		return errors.New("the cluster names a node that is not its own")
	}
	if _, err := to.ask(ctx, fmt.Sprintf("CLUSTER SETSLOT %d IMPORTING %s", slot, source.id)); err != nil {
		return fmt.Errorf("move a slot: %w", err)
	}
	if _, err := from.ask(ctx, fmt.Sprintf("CLUSTER SETSLOT %d MIGRATING %s", slot, target.id)); err != nil {
		return fmt.Errorf("move a slot: %w", err)
	}
	if _, err := c.moveKeys(ctx, slot, from, to, 1); err != nil {
		return err
	}
	half()
	for {
		n, err := c.moveKeys(ctx, slot, from, to, slotPage)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	// The new master first: the old one would send clients to it.
	for _, node := range []*Redis{to, from} {
		if _, err := node.ask(ctx, fmt.Sprintf("CLUSTER SETSLOT %d NODE %s", slot, target.id)); err != nil {
			return fmt.Errorf("move a slot: %w", err)
		}
	}
	return nil
}

func (c *Cluster) at(m member) *Redis {
	for _, node := range c.Nodes {
		if node.address() == m.address {
			return node
		}
	}
	return nil
}

// moveKeys moves at most so many keys of a slot, and says how many.
func (c *Cluster) moveKeys(ctx context.Context, slot int, from, to *Redis, most int) (int, error) {
	text, err := from.ask(ctx, fmt.Sprintf("CLUSTER GETKEYSINSLOT %d %d", slot, most))
	if err != nil {
		return 0, fmt.Errorf("list the keys of a slot: %w", err)
	}
	keys := strings.Fields(text)
	for _, key := range keys {
		move := fmt.Sprintf("MIGRATE 127.0.0.1 %d %s 0 5000 AUTH %s", to.port.number, key, c.password)
		if _, err := from.ask(ctx, move); err != nil {
			return 0, fmt.Errorf("move a key: %w", err)
		}
	}
	return len(keys), nil
}

// Failover makes a replica the master of what its master has, as an operator does before he
// restarts that one.
func (c *Cluster) Failover(ctx context.Context, master *Redis) error {
	id, err := master.ask(ctx, "CLUSTER MYID")
	if err != nil {
		return fmt.Errorf("ask a master for its name: %w", err)
	}
	for _, node := range c.Nodes {
		if about, err := node.ask(ctx, "CLUSTER NODES"); err == nil && strings.Contains(about, "myself,slave "+id) {
			if _, err := node.ask(ctx, "CLUSTER FAILOVER"); err != nil {
				return fmt.Errorf("fail over: %w", err)
			}
			return nil
		}
	}
	return errors.New("the master has no replica")
}
