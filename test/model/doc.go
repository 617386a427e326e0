// Package model is the claim protocol as a state machine small enough to visit
// every state of it. It shares no code with the scheduler: it is a second
// statement of the same protocol, and the place to try a change of the protocol
// first. docs/model.md has the results.
//
// # A state
//
// One or two tasks and up to three workers. Of a task there is its row in
// Postgres (status, attempt, owner), its id in Redis' two sets, which effects
// the world has seen, and whether a delete was answered with 200. Of a worker
// there is the lease of its session (live, lapsed, marked dead), whether the
// process is there, and what it believes of each task: claimed, confirmed as
// started, handler ended. Of the statements under way there are the copies of a
// start that nobody waits for and that may still commit, and the receipts.
// Time is not counted. For each task it is due by no clock, by Redis' clock
// only, or by both, and leases and claims lapse whenever they like.
//
// # The moves
//
// T0 to T9 stand at their functions: create (T0), remove (T5), claim (T1), starting (T2), run,
// finish (T3), lease (the life of a session, and T4), ring (T6), move (T7), cancel (T8) and
// expire (T9). If the outcome of a
// start is unknown it is issued again, while the earlier copy may commit at any later
// time; what the confirmed one granted may run, and the refused is put back.
//
// Accidents, of which a run has so many as its configuration says: a crash, also
// with a start under way; a pause past the lease, after which the worker goes
// on; a lost reply of a claim or a start; a start that is parked somewhere and
// commits later; a create that is; a claim that lapses under a slow worker; Redis wiped; Redis
// restored from an old dump, with any ids in any set.
//
// # The promises
//
// Never early: no effect before the task is due by Postgres' clock. Never twice:
// one effect an attempt, and no more attempts than allowed. A deleted task never
// runs: no effect after a 200, and with a single attempt none before either.
// A task that was moved has no effect before its new time. Nothing starts once it is too late, or
// after a cancel of its attempt. Terminal is final. An end is recorded by its own attempt. Those are tested on
// every move. Nothing is lost is a property of the whole graph: from every state
// there is a way, without accidents and without the user's help, to one in which
// all tasks have ended. A task that is started for a session which is alive and
// knows nothing of it breaks that promise.
//
// # What is left out
//
// A worker has one start in hand at a time, and at most one earlier one with a
// parked copy. Start and its confirmation are one move: what may happen between
// them may as well happen after, for the confirmation touches only the worker's
// memory and Redis. Finish and Delete have no copies: their guards let
// one of several copies write, whichever it is. Of a create there is one parked copy, and
// a row that was created without an answer is a row like any other. That an ended task is
// kept for longer than any copy of its create is under way is not part of the model. The check of the lease and the
// first effect of the handler are one move; a process that is stopped exactly
// between the two, for longer than its lease, has its effect when it goes on. A
// task with one attempt has then ended as worker_lost, which allows for it; a
// task with several may have been deleted meanwhile, and the attempt handed to
// the handler is the fencing token against that. A retry is due at once.
package model
