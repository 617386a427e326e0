package model

// Bug removes one guard from the protocol.
type Bug uint8

// The seeded bugs. None is the protocol itself.
const (
	None Bug = iota
	StartIgnoresStatus
	StartIgnoresDue
	StartIgnoresSession
	StartIgnoresPause
	StartKeepsAttempt
	StartReissuedWithoutReceipt
	ReceiptClosedTooSoon
	LapsedWithoutReceipt
	RunBeforeConfirm
	RunWithoutLease
	FinishIgnoresAttempt
	FinishIgnoresStatus
	ReapForgetsDead
	ReapForgetsTasks
	ReapIgnoresMaxAttempts
	DeleteChecksThenActs
	RepairMissing
	ReviveMissing
	ClaimOnlyPops
	ReleaseForgets
)

// Seeded is a bug and what it does.
type Seeded struct {
	Bug  Bug
	Name string
	What string
	// Harmless says why the promise holds all the same, if it does.
	Harmless string
}

// Bugs lists the seeded bugs.
func Bugs() []Seeded {
	return []Seeded{
		{StartIgnoresStatus, "start ignores status", "T2 without `status = 'submitted'`", ""},
		{StartIgnoresDue, "start ignores due", "T2 without `due_at <= clock_timestamp()`", ""},
		{StartIgnoresSession, "start ignores session", "T2 without the live lease of its session", ""},
		{StartIgnoresPause, "start ignores pause", "T2 that looks at the pause before it waits, and not after it", ""},
		{StartKeepsAttempt, "start keeps attempt", "T2 without `attempt = attempt + 1` from the second start on", ""},
		{StartReissuedWithoutReceipt, "re-issue without receipt", "T2 issued again after an unknown outcome, with no receipt to recognise its own success", ""},
		{ReceiptClosedTooSoon, "receipt closed too soon", "the receipt is removed when its tasks have ended, though another copy of its start may still commit", ""},
		{LapsedWithoutReceipt, "lapsed without receipt", "T2 refused because the lease has passed leaves no receipt and looks for none", ""},
		{RunBeforeConfirm, "run before confirm", "the handler is called while T2 is under way", ""},
		{RunWithoutLease, "run without lease", "the handler is called without asking whether the lease is live", ""},
		{FinishIgnoresAttempt, "finish ignores attempt", "T3 without worker and attempt", ""},
		{FinishIgnoresStatus, "finish ignores status", "T3 without `status = 'started_executing'`", ""},
		{ReapForgetsDead, "reap forgets the mark", "T4 settles the tasks and does not mark the session dead", ""},
		{ReapForgetsTasks, "reap forgets the tasks", "T4 marks the session and dies before it settles the tasks", ""},
		{ReapIgnoresMaxAttempts, "reap ignores max attempts", "T4 puts every task back to submitted", ""},
		{DeleteChecksThenActs, "delete by check-then-act", "T5 reads the status, and then writes without a guard", ""},
		{RepairMissing, "no repair", "nothing puts a submitted task into Redis that is missing there", ""},
		{ReviveMissing, "no revive", "a claim that lapsed stays where it is", ""},
		{
			ClaimOnlyPops, "claim only pops", "T1 takes the id from due and does not put it into claimed",
			"Postgres still has the task as submitted, so repair finds it. It costs time: " +
				"claimed exists so that a lost claim is seen after its lapse, and not by a look at Postgres.",
		},
		{
			ReleaseForgets, "release forgets", "an id that T2 refused as not yet due is dropped and not put back",
			"Postgres still has the task as submitted, so repair finds it. It costs lateness.",
		},
	}
}
