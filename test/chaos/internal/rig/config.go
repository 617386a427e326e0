// Package rig builds the system for a run: binaries with failpoints, private
// stores behind proxies, API and worker processes, and the witness that the
// tasks call.
package rig

import (
	"time"
)

// Config describes a system.
type Config struct {
	Seed    uint64 `json:"seed"`
	APIs    int    `json:"apis"`
	Workers int    `json:"workers"`
	// Concurrency is the number of slots of a worker.
	Concurrency int `json:"concurrency"`
	// Lease, Drain and TaskTimeout are those of the workers.
	Lease       time.Duration `json:"lease"`
	Drain       time.Duration `json:"drain"`
	TaskTimeout time.Duration `json:"task_timeout"`
	Horizon     time.Duration `json:"horizon"`
	// RedisAhead is how far Redis' clock is ahead, as the scripts read it.
	RedisAhead time.Duration `json:"redis_ahead"`
	// ClockOff is how far the wall clock of every other API is off.
	ClockOff time.Duration `json:"clock_off"`
	// Disk is the size in MiB of the disk that Postgres has to itself, so that
	// it can be filled; 0: no disk of its own.
	Disk int `json:"disk_mib,omitempty"`
	// MaxConnections is Postgres' own limit.
	MaxConnections int `json:"max_connections"`
	// MaxInFlight is how many requests an API takes at once; 0: its default.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// Outage is how long Postgres is away at most, when it is away for long.
	Outage time.Duration `json:"outage"`
	// Redis is how Redis runs: single, sentinel or cluster.
	Redis string `json:"redis"`
	// Types is how many types the tasks of the load have.
	Types int `json:"types"`
	// Bug is the patch of a seeded bug to build in, or empty.
	Bug string `json:"bug,omitempty"`
	// Failpoints is the plan that every node starts with.
	Failpoints string `json:"failpoints,omitempty"`
}

// The ways in which Redis runs.
const (
	Single   = "single"
	Sentinel = "sentinel"
	Cluster  = "cluster"
)

// Grace is how long after its lease a session is still not declared dead.
const Grace = 2 * time.Second

// Defaults are a small system whose workers die and are found dead quickly.
func Defaults() Config {
	return Config{
		APIs: 2, Workers: 4, Concurrency: 100,
		Lease: 3 * time.Second, Drain: 2 * time.Second, TaskTimeout: 10 * time.Second,
		Horizon: time.Minute, MaxConnections: 150, Outage: 12 * time.Second, Redis: Single, Types: 1,
	}
}
