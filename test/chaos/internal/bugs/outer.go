package bugs

import "github.com/timewheel/timewheel/test/testkit/proxy"

// outer are bugs of the system of record and of what speaks with it.
func outer() []Bug {
	return []Bug{
		{
			Name: "T2 without status",
			Hurt: strays, Load: Load{Deletes: 30},
		},
		{
			Name:  "T2 without the clock",
			Ahead: true,
		},
		{
			Name: "T2 without the session check",
			Hurt: stopPastLease("claimed"),
		},
		{
			Name: "T2 issued again without its receipt",
			Hurt: cut("T2", 0.3, proxy.After),
		},
		{
			Name: "handler run before T2 is confirmed",
			Hurt: cut("T2", 0.5, proxy.Before),
		},
		{
			Name: "T3 without worker and attempt",
			Hurt: wakeZombies("ran"), Load: Load{Retried: 100, Slow: 100},
		},
		{
			Name: "T3 without status",
			Hurt: wakeZombies("ran"), Load: Load{Slow: 50},
		},
		{
			Name: "reap without the dead mark",
			Hurt: stopPastLease("started"), Load: Load{Slow: 50},
		},
		{
			Name: "reap gives another attempt that nobody allowed",
			Hurt: killWorkers, Load: Load{Slow: 50},
		},
		{
			Name: "delete by check-then-act",
			Load: Load{Deletes: 100, Slow: 50},
		},
		{
			Name: "create acknowledged before the commit",
			Hurt: killAPIsThatWait,
		},
		{
			Name: "create issued again under a new id",
			Hurt: cut("T0", 0.5, proxy.After),
		},
		{
			Name: "unknown outcome reported as nothing changed",
			Hurt: cut("T5", 1, proxy.After), Load: Load{Deletes: 100, Soon: 3},
		},
	}
}
