package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/timewheel/timewheel/client"
)

// The exit codes, as the help and docs/cli.md say them.
const (
	exitDone        = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitConflict    = 5
	exitInvalid     = 6
	exitUnreachable = 7
	exitInterrupted = 130
)

// usageError is a command line that cannot be carried out.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUse(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// failure is an end with a code of its own. Its message may be empty: then all was told.
type failure struct {
	code int
	text string
}

func (e *failure) Error() string { return e.text }

// callError is a request that failed.
type callError struct {
	cause error
	// changes is whether the request may have changed something.
	changes bool
}

func (e *callError) Error() string { return e.cause.Error() }
func (e *callError) Unwrap() error { return e.cause }

// explain is the exit code of an error, and what to tell about it. It ends with what to do.
func (c *cli) explain(ctx context.Context, err error) (code int, message string) {
	var (
		usage *usageError
		own   *failure
		call  *callError
	)
	switch {
	case err == nil:
		return exitDone, ""
	case errors.Is(err, syscall.EPIPE):
		return exitDone, "" // whoever reads has read enough
	case errors.As(err, &usage):
		return exitUsage, usage.text
	case errors.As(err, &own):
		return own.code, own.text
	case ctx.Err() != nil:
		message = "interrupted"
		if errors.As(err, &call) && call.changes {
			message += "; the request may have been carried out"
		}
		return exitInterrupted, message
	case errors.As(err, &call):
		code, message = c.explainCall(call)
		return code, printable(message)
	}
	return exitFailure, printable(err.Error())
}

func (c *cli) explainCall(err *callError) (code int, message string) {
	var (
		problem *client.Problem
		syntax  *json.SyntaxError
		where   = c.shownAddress()
	)
	switch {
	case errors.As(err, &problem) && problem.Code != "":
		return explainProblem(problem)
	case errors.As(err, &problem):
		return explainStranger(problem, where)
	case errors.As(err, &syntax):
		return exitFailure, "what answers at " + where + " is not timewheel's API: its answer is no JSON; check --url and TIMEWHEEL_URL"
	case client.NotSent(err):
		return exitUnreachable, fmt.Sprintf("cannot reach the API at %s: %s; is it running? --url and TIMEWHEEL_URL say where it is", where, reason(err))
	}
	what := reason(err)
	if os.IsTimeout(err.cause) || errors.Is(err, context.DeadlineExceeded) {
		what = fmt.Sprintf("no answer within %s (--timeout)", c.timeout)
	}
	message = fmt.Sprintf("no answer from the API at %s: %s", where, what)
	if err.changes {
		message += "; the request may have been carried out: look before you repeat it"
	}
	return exitUnreachable, message
}

// explainProblem is for answers of timewheel.
func explainProblem(p *client.Problem) (code int, message string) {
	faults := []string{p.Detail}
	if p.Code == "invalid" && len(p.Errors) > 0 {
		faults[0] = "the API refuses this:"
	}
	for _, fault := range p.Errors {
		faults = append(faults, "  "+fault.Field+" "+fault.Message)
	}
	message = strings.Join(faults, "\n")
	switch {
	case p.Code == "no_such_route" || p.Code == "method_not_allowed":
		return exitFailure, "the API does not know this call: it is older than this program"
	case p.Status == http.StatusUnauthorized:
		return exitRefused, message + " The access key is read from TIMEWHEEL_KEY, TIMEWHEEL_KEY_FILE or --key-file."
	case p.Status == http.StatusForbidden:
		return exitRefused, message
	case p.Status == http.StatusNotFound:
		return exitNotFound, message
	case p.Status == http.StatusConflict || p.Status == http.StatusPreconditionFailed:
		if p.TaskStatus != "" {
			message += " Its status is " + p.TaskStatus + "."
		}
		return exitConflict, message
	case p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable:
		return exitUnreachable, message
	case p.Status >= http.StatusInternalServerError:
		return exitFailure, fmt.Sprintf("%s Its request_id is %s.", message, p.RequestID)
	}
	return exitInvalid, message
}

// explainStranger is for answers of something that stands between, or in place of the API.
func explainStranger(p *client.Problem, where string) (code int, message string) {
	answer := strings.TrimSpace(fmt.Sprintf("%d %s", p.Status, p.Title))
	switch {
	case p.Status < http.StatusBadRequest:
		return exitFailure, fmt.Sprintf("%s redirects elsewhere (%s); give the final address by --url or TIMEWHEEL_URL", where, answer)
	case p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden || p.Status == http.StatusProxyAuthRequired:
		code = exitRefused
	case p.Status == http.StatusBadGateway || p.Status == http.StatusServiceUnavailable ||
		p.Status == http.StatusGatewayTimeout || p.Status == http.StatusTooManyRequests:
		return exitUnreachable, fmt.Sprintf("a proxy at %s answers %s: it does not reach the API; repeat it later", where, answer)
	default:
		code = exitFailure
	}
	return code, fmt.Sprintf("what answers at %s (%s) is not timewheel's API; check --url and TIMEWHEEL_URL", where, answer)
}

// shownAddress has no password in it.
func (c *cli) shownAddress() string {
	parsed, err := url.Parse(c.address())
	if err != nil {
		return "its address"
	}
	return parsed.Redacted()
}

// reason is the innermost part of an error of the network.
func reason(err error) string {
	var (
		request *url.Error
		op      *net.OpError
		code    syscall.Errno
	)
	switch {
	case errors.As(err, &code):
		return code.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &request):
		return request.Err.Error()
	}
	return err.Error()
}

// mayBeDone reports whether a request that failed may have been carried out.
func mayBeDone(err error) bool {
	var problem *client.Problem
	if errors.As(err, &problem) {
		return problem.Unknown()
	}
	var call *callError
	return errors.As(err, &call) && !client.NotSent(err)
}
