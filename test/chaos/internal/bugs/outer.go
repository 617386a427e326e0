package bugs

import "github.com/timewheel/timewheel/test/testkit/proxy"

// outer are bugs of the system of record and of what speaks with it.
func outer() []Bug {
	return []Bug{
		{
			Name:   "T2 without status",
			Inject: strays, Load: Load{Deletes: 30},
		},
		{
			Name:  "T2 without the clock",
			Ahead: true,
		},
		{
			Name:   "pause looked at by the worker alone",
			Inject: pauseOften, Load: Load{Slow: 20},
		},
		{
			Name:   "max running added up before the lock",
			Inject: limitOften, Load: Load{Slow: 50},
		},
		{
			Name:   "T2 without the session check",
			Inject: stopPastLease("claimed"),
		},
		{
			Name:   "T2 issued again without its receipt",
			Inject: cut("T2", 0.3, proxy.After),
		},
		{
			Name:   "handler run before T2 is confirmed",
			Inject: cut("T2", 0.5, proxy.Before),
		},
		{
			Name:   "T3 without worker and attempt",
			Inject: wakeZombies("ran"), Load: Load{Retried: 100, Slow: 100},
		},
		{
			Name:   "T3 without status",
			Inject: wakeZombies("ran"), Load: Load{Slow: 50},
		},
		{
			Name:   "reap without the dead mark",
			Inject: stopPastLease("started"), Load: Load{Slow: 50},
		},
		{
			Name:   "reap gives another attempt that nobody allowed",
			Inject: killWorkers, Load: Load{Slow: 50},
		},
		{
			Name: "delete by check-then-act",
			Load: Load{Deletes: 100, Slow: 50},
		},
		{
			Name:   "create acknowledged before the commit",
			Inject: killAPIsThatWait,
		},
		{
			Name:   "create issued again under a new id",
			Inject: cut("T0", 0.5, proxy.After),
		},
		{
			Name:   "unknown outcome reported as nothing changed",
			Inject: cut("T5", 1, proxy.After), Load: Load{Deletes: 100, Soon: 3},
		},
	}
}
