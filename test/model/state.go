package model

// The largest model that fits the packed form.
const (
	maxTasks   = 2
	maxWorkers = 3
	nobody     = maxWorkers
	maxAttempt = 3 // one more than is ever allowed
)

type status uint8

const (
	absent status = iota
	submitted
	started
	done
	failed
	deleted
)

func (s status) terminal() bool { return s >= done }

// clock is how far time has come for a task. Redis' clock is ahead of
// Postgres', or they agree; the other way round costs lateness only. A move sets it back.
type clock uint8

const (
	notDue clock = iota
	dueByRedis
	dueByBoth
	tooLate // its not_after has passed
)

// row is all that there is of a task: its row in Postgres, its entries in
// Redis, what the world has seen of it, and what the API has in hand.
type row struct {
	status  status
	attempt uint8
	owner   uint8 // the session that has it started, else nobody
	clock   clock

	due, claimed bool // the two sets of Redis
	early        bool // its entry in due is for a time that it no longer has

	ran      uint8 // effects: a bit for each attempt
	promised bool  // a delete was answered with 200
	indexing bool  // created, and its id is on its way to Redis
	copied   bool  // an earlier copy of its create is parked
	checked  bool  // a delete that checks and then acts is in between
	looked   bool  // a move that does so is
	wish     bool  // a cancel was answered while it ran
}

type lease uint8

const (
	live lease = iota
	lapsed
	dead
)

type phase uint8

const (
	free      phase = iota
	held            // claimed, and in the call if there is one
	confirmed       // the worker knows that it may run
	ended           // its handler has run
)

// hand is what a worker knows of one task.
type hand struct {
	phase   phase
	attempt uint8
}

// session is one worker process and its row in Postgres.
type session struct {
	lease lease
	gone  bool // the process ended, or gave up its session
	hands [maxTasks]hand

	// The start in hand, once the outcome of its first copy is unknown: it is
	// issued again for the held tasks. parked counts the copies that may still
	// commit though nobody waits for them, receipt is what one of them left.
	again   bool
	parked  uint8
	receipt bool

	// One earlier start of which a copy is still parked: its tasks, those that
	// it was granted and that have not ended, and its receipt.
	oldParked     bool
	oldTasks      uint8
	oldUnfinished uint8
	oldReceipt    bool
}

type state struct {
	tasks   [maxTasks]row
	workers [maxWorkers]session
	faults  uint8 // that may still happen

	paused  bool // the type of the tasks is, and that was answered
	pausing bool // it may still be paused

	// A task may still be moved, be too late, and be cancelled while it runs.
	moving, expiring, cancelling bool
}

// packed is a state in 128 bits: what it is known by, and in what order.
type packed [2]uint64

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (r row) pack() uint64 {
	return uint64(r.status) | uint64(r.attempt)<<3 | uint64(r.owner)<<5 | uint64(r.clock)<<7 |
		bit(r.due)<<9 | bit(r.claimed)<<10 | uint64(r.ran)<<11 | bit(r.promised)<<13 |
		bit(r.checked)<<14 | bit(r.indexing)<<15
}

func (h hand) pack() uint64 { return uint64(h.phase) | uint64(h.attempt)<<3 }

func (w *session) pack() uint64 {
	return uint64(w.lease) | bit(w.gone)<<2 | w.hands[0].pack()<<3 | w.hands[1].pack()<<8 |
		bit(w.again)<<13 | uint64(w.parked)<<15 | bit(w.receipt)<<17 | bit(w.oldParked)<<18 |
		uint64(w.oldTasks)<<19 | uint64(w.oldUnfinished)<<21 | bit(w.oldReceipt)<<23
}

// pack puts the rows and the first session into one word and the rest into
// the other: 16 bits a row, 24 a session. A bit that a row has no room for stands apart.
func (s *state) pack() packed {
	return packed{
		s.tasks[0].pack() | s.tasks[1].pack()<<16 | s.workers[0].pack()<<32 | uint64(s.faults)<<56 | bit(s.paused)<<60 | bit(s.pausing)<<61 |
			bit(s.tasks[0].copied)<<62 | bit(s.tasks[1].copied)<<63,
		s.workers[1].pack() | s.workers[2].pack()<<32 | bit(s.moving)<<24 | bit(s.expiring)<<25 | bit(s.cancelling)<<26 |
			s.tasks[0].packChanges()<<27 | s.tasks[1].packChanges()<<56,
	}
}

func (r row) packChanges() uint64 { return bit(r.early) | bit(r.looked)<<1 | bit(r.wish)<<2 }
