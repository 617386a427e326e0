package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// many is a change of all tasks that a filter picks.
type many struct {
	filter
	all, yes, dryRun, wait bool
	// parameters are further members of the operation, or nil.
	parameters *object
}

func (m *many) register(c *cli, cmd *cobra.Command) {
	m.filter.register(c, cmd)
	flags := cmd.Flags()
	flags.BoolVar(&m.all, "all", false, "every task, without a filter")
	flags.BoolVar(&m.yes, "yes", false, "do not ask before many are changed")
	flags.BoolVar(&m.dryRun, "dry-run", false, "change nothing, and count what would be changed")
	flags.BoolVar(&m.wait, "wait", false, "wait until the operation has ended")
}

// given reports whether many tasks are picked.
func (m *many) given() bool { return m.all || !m.empty() }

// body is the operation as the API takes it.
func (m *many) body(action string, now time.Time) ([]byte, error) {
	if m.all && !m.empty() {
		return nil, wrongUse("give a filter or --all, not both")
	}
	picked, err := m.json(now)
	if err != nil {
		return nil, err
	}
	o := newObject().add("action", action).addRaw("filter", picked)
	if m.all {
		o.add("all", true)
	}
	if m.dryRun {
		o.add("dry_run", true)
	}
	if m.parameters != nil {
		found, err := members(m.parameters.bytes())
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			o.addRaw(p.name, p.value)
		}
	}
	return o.bytes(), nil
}

// startOperation asks, starts the operation, and waits for its end if that is wanted.
func (c *cli) startOperation(ctx context.Context, action string, m *many) error {
	body, err := m.body(action, c.now())
	if err != nil {
		return err
	}
	if !m.dryRun && !m.yes {
		if err := c.confirm(ctx, action+" every task"+m.words()); err != nil {
			return err
		}
	}
	answer, err := c.call(ctx, http.MethodPost, "operation", nil, body)
	if err != nil {
		return err
	}
	if m.wait {
		if answer, err = c.awaitOperation(ctx, answer); err != nil {
			return err
		}
	}
	if err := c.show(answer); err != nil || !m.wait {
		return err
	}
	var ended operationState
	if err := json.Unmarshal(answer, &ended); err != nil || ended.State != "done" {
		return &failure{exitFailure, "the operation did not come to its end: it is " + printable(ended.State)}
	}
	return nil
}

// words are the filter as a part of a sentence.
func (m *many) words() string {
	var parts []string
	for _, given := range [][2]string{
		{"of the type", m.taskType},
		{"with the status", m.status},
		{"with the labels", strings.Join(m.labels, ", ")},
		{"due after", m.dueAfter},
		{"due before", m.dueBefore},
		{"created after", m.createdAfter},
		{"created before", m.createdBefore},
	} {
		if given[1] != "" {
			parts = append(parts, given[0]+" "+printable(given[1]))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + strings.Join(parts, ", ")
}

// operationState is what has to be known of an operation to wait for it.
type operationState struct {
	ID    string          `json:"operation_id"`
	State string          `json:"state"`
	Done  json.RawMessage `json:"done"`
	Left  json.RawMessage `json:"left"`
}

// awaitOperation asks until an operation has ended.
func (c *cli) awaitOperation(ctx context.Context, answer json.RawMessage) (json.RawMessage, error) {
	for {
		var state operationState
		if err := json.Unmarshal(answer, &state); err != nil || state.ID == "" {
			return nil, fmt.Errorf("the answer names no operation: %w", err)
		}
		if !slices.Contains([]string{"waiting", "running"}, state.State) {
			return answer, nil
		}
		if isTerminal(c.errOut) {
			fmt.Fprintf(c.errOut, "\r\033[K%s: done %s, left %s", state.ID, plain(state.Done), plain(state.Left))
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, &failure{exitInterrupted, fmt.Sprintf("the operation %s goes on: timewheel op stop %[1]s stops it", state.ID)}
		}
		path, err := under("operation", state.ID)
		if err != nil {
			return nil, err
		}
		if answer, err = c.get(ctx, path, nil); err != nil {
			return nil, err
		}
	}
}

func (c *cli) operation() *cobra.Command {
	const what = "the id of an operation"
	get := c.named(named{use: "get", short: "Look at an operation", method: http.MethodGet, collection: "operation", what: what})
	get.Example = "timewheel op get 01a20a4c-b334-7f2c-a252-84152c4429d5"
	stop := c.named(named{
		use: "stop", short: "Stop an operation; what it has changed stays so", method: http.MethodDelete, collection: "operation",
		what: what, done: "stopped",
	})
	stop.Example = "timewheel op stop 01a20a4c-b334-7f2c-a252-84152c4429d5"
	return group("op", "Change many tasks at once: operations", c.opCreate(), get, c.opList(), stop)
}

func (c *cli) opCreate() *cobra.Command {
	var (
		m      many
		to, by string
	)
	actions := []string{"cancel", "delete", "reschedule", "retry", "run"}
	cmd := &cobra.Command{
		Use: "create <action>", Short: "Start an operation: " + strings.Join(actions, ", "),
		Example: "timewheel op create reschedule --type foo --by 1h --yes --wait", Args: takes(1, 1, "an action"),
		ValidArgsFunction: fixed(actions...),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(actions, args[0]) {
				return wrongUse("there is no action %q; there are %s", args[0], strings.Join(actions, ", "))
			}
			if !m.given() {
				return wrongUse("give a filter such as --type, or --all")
			}
			if (args[0] == "reschedule") != ((to != "") != (by != "")) {
				return wrongUse("give --to with a time or --by with a duration, for reschedule alone")
			}
			switch {
			case to != "":
				at, err := parseWhen(to, c.now())
				if err != nil {
					return err
				}
				m.parameters = newObject().add("execution_time", at)
			case by != "":
				m.parameters = newObject().add("shift", by)
			}
			return c.startOperation(cmd.Context(), args[0], &m)
		},
	}
	m.register(c, cmd)
	cmd.Flags().StringVar(&to, "to", "", "the `time` to which reschedule moves")
	cmd.Flags().StringVar(&by, "by", "", "how far (`duration`) reschedule moves, such as 1h or -30m")
	return cmd
}

func (c *cli) opList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List operations, newest first", Args: takes(0, 0, ""), Example: "timewheel op list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := c.get(cmd.Context(), "operation", nil)
			if err != nil {
				return err
			}
			return c.printList(answer, "operations",
				columns("ID=operation_id ACTION=action STATE=state DONE=done SKIPPED=skipped LEFT=left CREATED=created_at"))
		},
		ValidArgsFunction: nothing,
	}
}
