package model

import "slices"

// Bug removes one guard from the protocol.
type Bug uint8

// None is the protocol itself.
const None Bug = 0

// Seeded is a bug and what it does.
type Seeded struct {
	Bug  Bug
	Name string
	What string
	// Harmless says why the promise holds all the same, if it does.
	Harmless string
}

var seeded []Seeded

func seed(name, what, harmless string) Bug {
	bug := Bug(len(seeded) + 1) //nolint:gosec // a handful
	seeded = append(seeded, Seeded{bug, name, what, harmless})
	return bug
}

// Bugs lists the seeded bugs.
func Bugs() []Seeded { return slices.Clone(seeded) }

// The seeded bugs.
var (
	CreateSeesOldSnapshot       = seed("create sees an old snapshot", "T0 looks for what has ended with the snapshot that it began with", "")
	StartIgnoresStatus          = seed("start ignores status", "T2 without `status = 'submitted'`", "")
	StartIgnoresDue             = seed("start ignores due", "T2 without `due_at <= clock_timestamp()`", "")
	StartIgnoresSession         = seed("start ignores session", "T2 without the live lease of its session", "")
	StartIgnoresPause           = seed("start ignores pause", "T2 that looks at the pause before it waits, and not after it", "")
	StartKeepsAttempt           = seed("start keeps attempt", "T2 without `attempt = attempt + 1` from the second start on", "")
	StartReissuedWithoutReceipt = seed("re-issue without receipt", "T2 issued again after an unknown outcome, with no receipt to recognise its own success", "")
	ReceiptClosedTooSoon        = seed("receipt closed too soon", "the receipt is removed when its tasks have ended, though another copy of its start may still commit", "")
	LapsedWithoutReceipt        = seed("lapsed without receipt", "T2 refused because the lease has passed leaves no receipt and looks for none", "")
	RunBeforeConfirm            = seed("run before confirm", "the handler is called while T2 is under way", "")
	RunWithoutLease             = seed("run without lease", "the handler is called without asking whether the lease is live", "")
	FinishIgnoresAttempt        = seed("finish ignores attempt", "T3 without worker and attempt", "")
	FinishIgnoresStatus         = seed("finish ignores status", "T3 without `status = 'started_executing'`", "")
	ReapForgetsDead             = seed("reap forgets the mark", "T4 settles the tasks and does not mark the session dead", "")
	ReapForgetsTasks            = seed("reap forgets the tasks", "T4 marks the session and dies before it settles the tasks", "")
	ReapIgnoresMaxAttempts      = seed("reap ignores max attempts", "T4 puts every task back to submitted", "")
	DeleteChecksThenActs        = seed("delete by check-then-act", "T5 reads the status, and then writes without a guard", "")
	MoveChecksThenActs          = seed("move by check-then-act", "T7 reads the status, and then writes without a guard", "")
	StartIgnoresExpiry          = seed("start ignores not_after", "T2 that leaves `not_after` to the sweep", "")
	ExpireIgnoresStatus         = seed("expire ignores status", "T9 without `status = 'submitted'`", "")
	ExpireMissing               = seed("nothing expires", "T2 refuses what is too late, and nobody ends it", "")
	CancelIgnoresStatus         = seed("cancel ignores status", "T8 without `status = 'started_executing'`", "")
	FinishIgnoresCancel         = seed("finish ignores the cancel", "T3 puts a task back that was cancelled", "")
	ReapIgnoresCancel           = seed("reap ignores the cancel", "T4 puts a task back that was cancelled", "")
	RepairMissing               = seed("no repair", "nothing puts a submitted task into Redis that is missing there", "")
	ReviveMissing               = seed("no revive", "a claim that lapsed stays where it is", "")
	ClaimOnlyPops               = seed("claim only pops", "T1 takes the id from due and does not put it into claimed",
		"Postgres still has the task as submitted, so repair finds it. It costs time: claimed exists so that a lost claim is seen after its lapse, and not by a look at Postgres.")
	ReleaseForgets = seed("release forgets", "an id that T2 refused as not yet due is dropped and not put back",
		"Postgres still has the task as submitted, so repair finds it. It costs lateness.")
)
