// Package scheduler creates and deletes tasks, and writes down the protocol by which
// all of timewheel keeps its promise. Postgres holds every task and decides. Redis
// holds the due index, which is what falls due within the horizon, and only hints.
//
// # The promise
//
// Never early, never twice, a deleted task never runs, and nothing is lost in
// silence. It rests on one rule: a committed start in Postgres is the only
// permission to run. Whatever Redis says, forgets or repeats can cost lateness
// and nothing else.
//
// # The protocol
//
//	T0  Create   INSERT, unless the task has ended; commit, then index; then the
//	             client gets its answer.
//	T1  Claim    a script moves due ids from due to claimed. Nothing durable.
//	T2  Start    one UPDATE: submitted, due by Postgres' clock, its type not
//	             paused, the session's lease live. Of a type with max_running
//	             a statement before it holds the type's row, and it adds up
//	             what all sessions have running. It counts the attempt and leaves a receipt.
//	T3  Finish   one UPDATE: started, by this session, this attempt.
//	T4  Reap     a session whose lease passed is marked dead, by one that renews
//	             its own without a gap, and what its receipts name is failed
//	             with worker_lost, or submitted again if the user allowed more
//	             attempts. One transaction.
//	T5  Delete   one statement: submitted. 200 means that it never runs.
//	T6  Index    put a missing id into Redis, bring forward one that waits for too late a time,
//	             drop a stale one. Idempotent.
//	T7  Move     one UPDATE: submitted, in the attempt and with the number of changes that were
//	             read. 200 means that it never runs at a time that it had before. Then index.
//	             Run now is a move to the time at which the statement arrives.
//	T8  Cancel   T5, or one UPDATE: started. The wish stays with the row, and T3 and T4 put
//	             no task back that has one. Then a message to the worker, which asks
//	             Postgres what it is to cancel, as it does each second.
//	T9  Expire   one statement: submitted, and later than its not_after or its type's
//	             expires_in. T2 refuses such a task, and whoever is refused for that, or
//	             the leader, ends it as failed with expired.
//
// An end (T3, T4, T5, T9) moves the row to the history, in the same statement: what is open is
// a partition of tasks, and what has ended is in others, by the time of the end. There is no
// moment at which a task is in neither or in both. A statement that comes to a row which
// has moved since it began finds nothing, or is tried again; the guards are as before.
//
// What a create (T0) may be repeated under, its id and its key, is unique among the open
// tasks by an index. A copy of a create may arrive after the task has ended, and even
// after its own statement began. So each copy looks once more after its rows stand in the
// index, where no other copy's can be, and with a fresh snapshot. The second copy and later
// ones look through what has ended, and leave a mark with the task. The first one looks for
// that mark alone: if there is none, no other copy has created the task. A create with a
// key may be repeated by its client, and looks through what has ended from the first.
//
// A move (T7) needs nothing from Redis to be true: T2 compares the time that stands in the row. What
// Redis has still, from a slow call, an old dump or a repair that had read the row before, is too
// early, and a start is refused and put back; or it is too late, and the repair of overdue rows
// brings it forward. A copy of the statement that arrives late finds another number of changes.
//
// The write order is Postgres, then Redis. So an id in Redis always names a row
// that was committed, and a reader who looks at Redis first and at Postgres
// second can tell what is stale.
//
// # What happens when
//
// The API dies between T0 and the index: the row is submitted and nobody knows
// it. If it is due beyond the horizon, the cascade brings it in its time; else
// the repair of overdue rows finds it a second after it was due, at the latest.
//
// A worker dies after T1: the claim lapses, and the next claim of the type hands it out. After
// T2: its session's lease runs out by Postgres' clock, and T4 ends the task.
// Between the effect and T3: the same; the task had one effect and is failed
// with worker_lost, which says zero or one.
//
// The API dies after T8, or its message is lost: the worker looks each second while it runs
// something. The worker dies: T4 ends the task, whose attempts that are left do not start. A
// handler that ended while the wish was committed: one of the two statements waits for
// the other. It has ended, and the cancel is refused; or it waits for another attempt, and is
// deleted; or its end finds the wish.
//
// A worker is stopped for an hour and goes on: its session is dead. T2 refuses
// it, T3 writes nothing, and it does not call a handler once its own, monotonic
// clock says that its lease may have passed. A handler that was running all
// that time had the one effect that worker_lost allows for.
//
// The reply to a commit is lost: the same statement is issued again, and
// recognises its own earlier success; see package postgres. A handler runs only
// after a start that was confirmed.
//
// Redis is gone: creates and deletes are committed and answered, and who did so
// tells it later what it missed; workers wait. It comes back empty: the epoch is
// missing, and the leader rebuilds the window, soonest first, while the others
// claim. It comes back with old data: its run id differs,
// and the whole window is audited. One of its keys is deleted by hand: the index
// is empty although tasks are ahead, and the audit runs; one id is deleted: it is
// put back a second after it was due, or by the periodic audit before.
//
// Clocks: what is due, Redis decides by TIME when it hands out, and Postgres by
// clock_timestamp when it commits the start. If Redis is ahead, T2 refuses and
// the id is put back for as long as Postgres says. A node's own clock decides
// nothing.
//
// # The due index
//
// Each task type has a ring: the ids that are due, and those that are claimed. The
// agenda names each type with the time at which its ring is to be looked at. Whoever
// adds to a ring marks its type in the agenda after that; whoever has looked at a ring
// settles the type by what it saw, unless the type was marked since it asked. So
// what comes between a look and its settlement is not forgotten. A mark that is lost, like
// an id that is lost, is made up for by the repair.
//
// The loops that cascade, repair, reap and retain are in package maintenance.
package scheduler
