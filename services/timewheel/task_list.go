package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// largestPage is the most tasks of one answer.
const largestPage = 1000

var taskColumns = columns("ID=task_id TYPE=task_type STATUS=status DUE=due_at ATTEMPT=attempt")

type listing struct {
	filter
	order, cursor string
	limit         int
	all           bool
}

func (c *cli) taskList() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use: "list", Short: "List tasks, newest first", Args: takes(0, 0, ""),
		Example: "timewheel task list --status failed --type foo --all -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := l.query(c.now())
			if err != nil {
				return err
			}
			if l.limit < 1 {
				return wrongUse("--limit must be 1 or more")
			}
			if l.all && cmd.Flags().Changed("limit") {
				return wrongUse("give --limit or --all, not both")
			}
			if l.order != "" {
				query.Set("order", l.order)
			}
			if l.cursor != "" {
				query.Set("cursor", l.cursor)
			}
			return c.list(cmd.Context(), query, l)
		},
		ValidArgsFunction: nothing,
	}
	l.register(c, cmd)
	flags := cmd.Flags()
	flags.StringVar(&l.order, "order", "", "-created: newest first (the default), or due, with a status of tasks that have not ended")
	flags.IntVar(&l.limit, "limit", 50, "how many tasks at most")
	flags.BoolVar(&l.all, "all", false, "all of them, page by page")
	flags.StringVar(&l.cursor, "cursor", "", "go on where a list ended: `next_cursor` of its JSON")
	complete(cmd, "order", fixed("due", "-created"))
	return cmd
}

// pages reads page after page and gives each to show, until there is no more, or enough. It returns
// where to go on, as JSON.
func (c *cli) pages(ctx context.Context, query url.Values, l listing, show func([]json.RawMessage) error) (json.RawMessage, error) {
	query = maps.Clone(query)
	for left := l.limit; ; {
		ask := largestPage
		if !l.all {
			ask = min(left, largestPage)
		}
		query.Set("limit", strconv.Itoa(ask))
		next := json.RawMessage("null")
		if at := query.Get("cursor"); at != "" {
			next = []byte(strconv.Quote(at))
		}
		answer, err := c.get(ctx, "task", query)
		if err != nil {
			return next, err
		}
		tasks, rest, err := items(answer, "tasks")
		if err != nil {
			return next, err
		}
		if err := show(tasks); err != nil {
			return next, err
		}
		left -= len(tasks)
		cursor := textOf(rest["next_cursor"])
		if cursor == "" {
			return json.RawMessage("null"), nil
		}
		if !l.all && left <= 0 {
			return rest["next_cursor"], nil
		}
		query.Set("cursor", cursor)
	}
}

// list prints tasks as they come. JSON is whole even if a page fails: next_cursor then says where.
func (c *cli) list(ctx context.Context, query url.Values, l listing) error {
	if !c.json() {
		return c.listTable(ctx, query, l)
	}
	count := 0
	next, err := c.pages(ctx, query, l, func(tasks []json.RawMessage) error {
		for _, item := range tasks {
			lead := ",\n    "
			if count == 0 {
				lead = "{\n  \"tasks\": [\n    "
			}
			count++
			fmt.Fprint(c.out, lead+harmless(string(item)))
		}
		return c.out.err
	})
	switch {
	case count > 0:
		fmt.Fprintf(c.out, "\n  ],\n  \"next_cursor\": %s\n}\n", next)
	case err == nil:
		fmt.Fprintf(c.out, "{\n  \"tasks\": [],\n  \"next_cursor\": %s\n}\n", next)
	}
	if err != nil {
		return err
	}
	return c.out.err
}

func (c *cli) listTable(ctx context.Context, query url.Values, l listing) error {
	t := newTable(titles(taskColumns)...)
	next, err := c.pages(ctx, query, l, func(tasks []json.RawMessage) error {
		for _, item := range tasks {
			t.row(c.cells(taskColumns, item)...)
		}
		fmt.Fprint(c.out, t.lines(0))
		return c.out.err
	})
	if err == nil && string(next) != "null" {
		c.note("there are more: --all lists them, --cursor %s goes on here", plain(next))
	}
	return err
}
