package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/timewheel/timewheel/client"
)

func (c *cli) task() *cobra.Command {
	return group("task", "Create tasks, look at them, change them",
		c.taskCreate(), c.taskGet(), c.taskList(), c.taskMove(), c.taskRun(), c.taskCancel(), c.taskDelete(),
		c.taskRetry(), c.taskAttempts(), c.taskWatch())
}

// taskPath is the path of a task, and of what is under it.
func taskPath(id string, below ...string) (string, error) {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return "", wrongUse("%q is not the id of a task, such as 01a20a4c-b334-7f2c-a252-84152c4429d5", id)
	}
	return strings.Join(append([]string{"task", id}, below...), "/"), nil
}

// newTask is what the flags of task create say.
type newTask struct {
	taskType, when, payload, notAfter, timeout, retry string
	maxAttempts                                       int
	labels                                            []string
	idempotencyKey, byKey                             string
}

func (c *cli) taskCreate() *cobra.Command {
	var t newTask
	cmd := &cobra.Command{
		Use: "create <type> <time>", Short: "Create a task",
		Example: `timewheel task create foo +5m --payload '{"duration": "1s"}'`,
		Args:    takes(2, 2, "a type or a time"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.taskType, t.when = args[0], args[1]
			return c.create(cmd.Context(), &t)
		},
		ValidArgsFunction: c.firstOf(c.typeNames),
	}
	flags := cmd.Flags()
	flags.StringVar(&t.payload, "payload", "", "the payload, as `JSON`, @file, or - for the standard input")
	flags.StringArrayVar(&t.labels, "label", nil, "a label, as `key:value`; may be repeated")
	flags.IntVar(&t.maxAttempts, "max-attempts", 0, "how often it may be started (default as the type says)")
	flags.StringVar(&t.timeout, "task-timeout", "", "how `long` one attempt may take, such as 30s")
	flags.StringVar(&t.retry, "retry", "", "how long it waits for its next attempt, as `JSON` or @file")
	flags.StringVar(&t.notAfter, "not-after", "", "never start it after this `time`")
	flags.StringVar(&t.idempotencyKey, "idempotency-key", "", "two creates with one `key` make one task (default a new one)")
	flags.StringVar(&t.byKey, "by-key", "", "create the task of this `key`, or replace it if it has not started")
	complete(cmd, "label", c.labelTexts)
	return cmd
}

// body is the task as the API takes it, and its time.
func (t *newTask) body(c *cli) (body []byte, when string, err error) {
	now := c.now()
	if when, err = parseWhen(t.when, now); err != nil {
		return nil, "", err
	}
	o := newObject().add("task_type", t.taskType).add("execution_time", when)
	if t.maxAttempts != 0 {
		o.add("max_attempts", t.maxAttempts)
	}
	o.addText("timeout", t.timeout)
	if t.notAfter != "" {
		at, err := parseWhen(t.notAfter, now)
		if err != nil {
			return nil, "", err
		}
		o.add("not_after", at)
	}
	if len(t.labels) > 0 {
		labels, err := labelObject(t.labels)
		if err != nil {
			return nil, "", err
		}
		o.addRaw("labels", labels)
	}
	for _, given := range [][2]string{{"retry", t.retry}, {"payload", t.payload}} {
		if given[1] == "" {
			continue
		}
		value, err := c.readJSON("--"+given[0], given[1])
		if err != nil {
			return nil, "", err
		}
		o.addRaw(given[0], value)
	}
	return o.bytes(), when, nil
}

func (c *cli) create(ctx context.Context, t *newTask) error {
	body, when, err := t.body(c)
	if err != nil {
		return err
	}
	request := client.Request{Method: http.MethodPost, Path: "task", Header: http.Header{}, Body: body}
	if t.byKey != "" {
		if t.idempotencyKey != "" {
			return wrongUse("--by-key needs no --idempotency-key: it may be repeated as it is")
		}
		request.Method = http.MethodPut
		if request.Path, err = under("task/by-key", t.byKey); err != nil {
			return err
		}
	} else {
		if t.idempotencyKey == "" {
			t.idempotencyKey = uuid.NewString()
		}
		request.Header.Set("Idempotency-Key", t.idempotencyKey)
	}
	answer, err := c.send(ctx, request)
	if err != nil {
		if t.byKey == "" && mayBeDone(err) {
			c.note("timewheel: the same command with --idempotency-key %s and the time %s may be repeated safely", printable(t.idempotencyKey), when)
		}
		return err
	}
	return c.say(answer, "created %s, due %s", idOf(answer), showTime(when, c.now().Location()))
}

// statusOf is the status of the task that an answer shows.
func statusOf(answer json.RawMessage) string {
	var shown struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(answer, &shown) != nil {
		return ""
	}
	return shown.Status
}

// idOf is the id of the task that an answer names.
func idOf(answer json.RawMessage) string {
	var named struct {
		ID json.RawMessage `json:"task_id"`
	}
	if json.Unmarshal(answer, &named) != nil {
		return ""
	}
	return plain(named.ID)
}

func (c *cli) taskGet() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "get <id>", Short: "Look at a task", Args: takes(0, 1, ""),
		Example: "timewheel task get 01a20a4c-b334-7f2c-a252-84152c4429d5",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := oneTask(args, key)
			if err != nil {
				return err
			}
			answer, err := c.get(cmd.Context(), path, nil)
			if err != nil {
				return err
			}
			return c.show(answer)
		},
		ValidArgsFunction: nothing,
	}
	cmd.Flags().StringVar(&key, "by-key", "", "the task of this `key`, in place of an id")
	return cmd
}

// oneTask is the path of the task that is named by its id or by its key.
func oneTask(args []string, key string) (string, error) {
	switch {
	case key != "" && len(args) > 0:
		return "", wrongUse("give an id or --by-key, not both")
	case key != "":
		return under("task/by-key", key)
	case len(args) == 0:
		return "", wrongUse("an id is missing")
	}
	return taskPath(args[0])
}

func (c *cli) taskAttempts() *cobra.Command {
	return &cobra.Command{
		Use: "attempts <id>", Short: "List the attempts of a task", Args: takes(1, 1, "an id"),
		Example: "timewheel task attempts 01a20a4c-b334-7f2c-a252-84152c4429d5",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := taskPath(args[0], "attempts")
			if err != nil {
				return err
			}
			answer, err := c.get(cmd.Context(), path, url.Values{})
			if err != nil {
				return err
			}
			return c.printList(answer, "attempts",
				columns("ATTEMPT=attempt STARTED=started_at ENDED=ended_at OUTCOME=outcome WORKER=worker_id CODE=failure.code MESSAGE=failure.message"))
		},
		ValidArgsFunction: nothing,
	}
}
