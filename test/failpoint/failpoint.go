// Package failpoint names the places where a process may die, stop or
// misbehave at the worst moment, so that the fault suite can make it do so.
//
// In the ordinary build Hit is an empty function that the compiler removes.
// With the build tag chaos it follows a plan, such as
//
//	claimed=kill:0.002,started=pause:@100,handling=hang:20s:0.01
//
// a list of point=action:when. When is a probability, or @n for the nth hit
// alone. The actions are
//
//	kill      the process ends by SIGKILL
//	pause     the process stops by SIGSTOP, until somebody sends it SIGCONT
//	panic     the goroutine panics
//	goexit    the goroutine ends
//	exit      the process ends with status 86
//	hang:5s   the goroutine goes on after that time, whatever its context says
//
// The plan is the variable FAILPOINTS, or the file that FAILPOINTS_FILE names,
// which may change while the process runs. What was done is appended to the
// file that FAILPOINTS_LOG names, a line an action: point, action and the time
// in nanoseconds of Unix, by spaces.
package failpoint

// The points.
const (
	// Claimed: a worker took tasks from Redis, and Postgres knows nothing yet.
	Claimed = "claimed"
	// Started: the start is committed, and the handler not called.
	Started = "started"
	// Handling: inside the handler's call, before its effect.
	Handling = "handling"
	// Ran: the handler returned, and its end is not sent.
	Ran = "ran"
	// Finished: the end is committed, and the worker does not know it yet.
	Finished = "finished"
	// Inserted: the API committed tasks or a move, and Redis does not know of them.
	Inserted = "inserted"
)

// Points lists all of them, a worker's in the order of a task's life.
func Points() []string {
	return []string{Claimed, Started, Handling, Ran, Finished, Inserted}
}
