package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

var scheduleColumns = columns("NAME=name CRON=cron EVERY=every ZONE=time_zone TYPE=task.task_type PAUSED=paused LATE=skipped.late")

func (c *cli) schedule() *cobra.Command {
	const what = "the name of a schedule"
	get := c.named(named{
		use: "get", short: "Look at a schedule", method: http.MethodGet, collection: "schedule", what: what, complete: c.scheduleNames,
	})
	get.Example = "timewheel schedule get report.daily"
	put := c.put("Make a schedule, or replace it", "schedule", what, c.scheduleNames)
	put.Example = `timewheel schedule put report.daily --from '{"cron": "0 9 * * 1-5", "task": {"task_type": "foo"}}'`
	remove := c.named(named{
		use: "delete", short: "Delete a schedule, and its tasks that have not started", method: http.MethodDelete,
		collection: "schedule", what: what, done: "deleted", complete: c.scheduleNames,
	})
	remove.Example = "timewheel schedule delete report.daily"
	pause := c.pause("pause", "Make no tasks of a schedule any more", "schedule", what, true, c.scheduleNames)
	pause.Example = "timewheel schedule pause report.daily"
	resume := c.pause("resume", "Make tasks of a paused schedule again", "schedule", what, false, c.scheduleNames)
	resume.Example = "timewheel schedule resume report.daily"
	return group("schedule", "Tasks that are made again and again",
		c.scheduleList(), get, put, remove, c.scheduleNext(), pause, resume)
}

func (c *cli) scheduleList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the schedules", Args: takes(0, 0, ""), Example: "timewheel schedule list", ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := c.schedules(cmd.Context())
			if err != nil {
				return err
			}
			list, err := json.Marshal(all)
			if err != nil {
				return fmt.Errorf("encode the schedules: %w", err)
			}
			return c.printList(newObject().addRaw("schedules", list).bytes(), "schedules", scheduleColumns)
		},
	}
}

// schedules reads all of them, page by page.
func (c *cli) schedules(ctx context.Context) ([]json.RawMessage, error) {
	all, query := []json.RawMessage{}, url.Values{}
	for {
		answer, err := c.get(ctx, "schedule", query)
		if err != nil {
			return nil, err
		}
		page, rest, err := items(answer, "schedules")
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		after := textOf(rest["next_after"])
		if after == "" {
			return all, nil
		}
		query.Set("after", after)
	}
}

func (c *cli) scheduleNext() *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use: "next <name>", Short: "Tell when a schedule falls due next", Args: takes(1, 1, "the name of a schedule"),
		Example: "timewheel schedule next report.daily -n 3", ValidArgsFunction: c.firstOf(c.scheduleNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := under("schedule", args[0])
			if err != nil {
				return err
			}
			answer, err := c.get(cmd.Context(), path+"/next", url.Values{"n": {strconv.Itoa(n)}})
			if err != nil || c.json() {
				return orPrint(err, c, answer)
			}
			instants, _, err := items(answer, "next")
			if err != nil {
				return err
			}
			for _, at := range instants {
				fmt.Fprintln(c.out, showTime(plain(at), c.now().Location()))
			}
			return c.out.err
		},
	}
	cmd.Flags().IntVarP(&n, "number", "n", 10, "how many instants")
	return cmd
}
