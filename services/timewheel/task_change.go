package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/timewheel/timewheel/client"
)

// change is a command that changes tasks: some by their ids, or many by a filter, which is an
// operation.
type change struct {
	name, short, example string
	action               string // of an operation
	// call is what is done to one task.
	call func(ctx context.Context, id string) (json.RawMessage, error)
	// said is what to tell once it is done.
	said func(id string, answer json.RawMessage) string
	// check looks at the flags, if there is something to look at.
	check func(many *many, byID bool) error
}

func (c *cli) changeCommand(ch change) (*cobra.Command, *many) {
	var m many
	cmd := &cobra.Command{
		Use: ch.name + " <id>... | --type <type> ...", Short: ch.short, Example: ch.example, Args: takes(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			byID := len(args) > 0
			if byID && m.given() {
				return wrongUse("give ids or a filter, not both")
			}
			if !byID && !m.given() {
				return wrongUse("give ids, or a filter such as --type, or --all; see %s --help", cmd.CommandPath())
			}
			if ch.check != nil {
				if err := ch.check(&m, byID); err != nil {
					return err
				}
			}
			if byID {
				return c.each(cmd.Context(), args, ch)
			}
			return c.startOperation(cmd.Context(), ch.action, &m)
		},
		ValidArgsFunction: nothing,
	}
	m.register(c, cmd)
	return cmd, &m
}

// each carries a change out task by task, and goes on after one that cannot be changed. The
// exit code is that of the first.
func (c *cli) each(ctx context.Context, ids []string, ch change) error {
	for _, id := range ids {
		if _, err := taskPath(id); err != nil {
			return err
		}
	}
	first, results := exitDone, []json.RawMessage{}
	for i, id := range ids {
		answer, err := ch.call(ctx, id)
		result := newObject().add("task_id", id)
		if err == nil {
			results = append(results, result.addRaw("answer", answer).bytes())
			if !c.json() {
				fmt.Fprintln(c.out, ch.said(id, answer))
			}
			continue
		}
		code, message := c.explain(ctx, err)
		results = append(results, result.addRaw("error", newObject().add("exit_code", code).add("message", message).bytes()).bytes())
		c.note("timewheel: %s: %s", id, message)
		if first == exitDone {
			first = code
		}
		if code == exitUnreachable || code == exitInterrupted || c.out.err != nil {
			if left := len(ids) - i - 1; left > 0 {
				c.note("timewheel: %d more were not tried", left)
			}
			break
		}
	}
	if c.json() {
		list, err := json.Marshal(results)
		if err != nil {
			return fmt.Errorf("encode the results: %w", err)
		}
		if err := c.printJSON(newObject().addRaw("results", list).bytes()); err != nil && first == exitDone {
			return err
		}
	}
	if first != exitDone {
		return &failure{code: first}
	}
	return c.out.err
}

// post asks for something to be done to a task.
func (c *cli) post(action string) func(context.Context, string) (json.RawMessage, error) {
	return func(ctx context.Context, id string) (json.RawMessage, error) {
		path, err := taskPath(id, action)
		if err != nil {
			return nil, err
		}
		return c.call(ctx, http.MethodPost, path, nil, nil)
	}
}

func (c *cli) taskMove() *cobra.Command {
	var to, by string
	ch := change{
		name: "move", short: "Move tasks that have not started to another time", action: "reschedule",
		example: "timewheel task move 01a20a4c-b334-7f2c-a252-84152c4429d5 --to +1h",
	}
	var body []byte
	ch.check = func(m *many, byID bool) error {
		if (to == "") == (by == "") {
			return wrongUse("give --to with a time, or --by with a duration")
		}
		if by != "" {
			if byID {
				return wrongUse("--by moves many by a filter; give ids a time by --to")
			}
			m.parameters = newObject().add("shift", by)
			return nil
		}
		at, err := parseWhen(to, c.now())
		if err != nil {
			return err
		}
		m.parameters = newObject().add("execution_time", at)
		body = m.parameters.bytes()
		return nil
	}
	ch.call = func(ctx context.Context, id string) (json.RawMessage, error) {
		path, err := taskPath(id)
		if err != nil {
			return nil, err
		}
		header := http.Header{"Content-Type": {"application/merge-patch+json"}}
		return c.send(ctx, client.Request{Method: http.MethodPatch, Path: path, Header: header, Body: body})
	}
	ch.said = func(id string, answer json.RawMessage) string {
		var moved struct {
			DueAt string `json:"due_at"`
		}
		if json.Unmarshal(answer, &moved) != nil {
			return "moved " + id
		}
		return "moved " + id + ", due " + showTime(moved.DueAt, c.now().Location())
	}
	cmd, _ := c.changeCommand(ch)
	cmd.Flags().StringVar(&to, "to", "", "the `time`")
	cmd.Flags().StringVar(&by, "by", "", "how far (`duration`, such as 1h or -30m), for many by a filter")
	return cmd
}

func (c *cli) taskRun() *cobra.Command {
	cmd, _ := c.changeCommand(change{
		name: "run", short: "Make tasks due now", action: "run", call: c.post("run"),
		example: "timewheel task run 01a20a4c-b334-7f2c-a252-84152c4429d5",
		said:    func(id string, _ json.RawMessage) string { return "due now: " + id },
	})
	return cmd
}

func (c *cli) taskCancel() *cobra.Command {
	cmd, _ := c.changeCommand(change{
		name: "cancel", short: "Take back tasks, and stop those that run", action: "cancel", call: c.post("cancel"),
		example: "timewheel task cancel 01a20a4c-b334-7f2c-a252-84152c4429d5",
		said: func(id string, answer json.RawMessage) string {
			if statusOf(answer) == "deleted" {
				return "deleted " + id // it had not started
			}
			return "asked to stop: " + id
		},
	})
	return cmd
}

func (c *cli) taskRetry() *cobra.Command {
	cmd, _ := c.changeCommand(change{
		name: "retry", short: "Create tasks anew that failed or were deleted", action: "retry", call: c.post("retry"),
		example: "timewheel task retry 01a20a4c-b334-7f2c-a252-84152c4429d5",
		said: func(id string, answer json.RawMessage) string {
			return "created " + idOf(answer) + " in place of " + id
		},
	})
	return cmd
}

func (c *cli) taskDelete() *cobra.Command {
	var key string
	cmd, many := c.changeCommand(change{
		name: "delete", short: "Take back tasks that have not started", action: "delete", call: c.remove,
		example: "timewheel task delete 01a20a4c-b334-7f2c-a252-84152c4429d5",
		said:    func(id string, _ json.RawMessage) string { return "deleted " + id },
	})
	byID := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if key == "" {
			return byID(cmd, args)
		}
		if len(args) > 0 || many.given() {
			return wrongUse("give ids, a filter or --by-key, only one of them")
		}
		path, err := under("task/by-key", key)
		if err != nil {
			return err
		}
		answer, err := c.call(cmd.Context(), http.MethodDelete, path, nil, nil)
		if err != nil {
			return err
		}
		return c.say(answer, "deleted %s", idOf(answer))
	}
	cmd.Flags().StringVar(&key, "by-key", "", "the task of this `key`, in place of an id")
	return cmd
}

func (c *cli) remove(ctx context.Context, id string) (json.RawMessage, error) {
	path, err := taskPath(id)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}
