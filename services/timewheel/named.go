package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// named is a command that looks at, or deletes, one thing by its name.
type named struct {
	use, short, method, collection string
	// what names the argument in messages.
	what string
	// done is what was done to it, or empty if it is shown.
	done     string
	complete completion
}

func (c *cli) named(n named) *cobra.Command {
	cmd := &cobra.Command{
		Use: n.use + " <name>", Short: n.short, Args: takes(1, 1, n.what), ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := under(n.collection, args[0])
			if err != nil {
				return err
			}
			answer, err := c.call(cmd.Context(), n.method, path, nil, nil)
			if err != nil {
				return err
			}
			if n.done == "" {
				return c.show(answer)
			}
			return c.say(answer, "%s %s", n.done, cell(args[0]))
		},
	}
	if n.complete != nil {
		cmd.ValidArgsFunction = c.firstOf(n.complete)
	}
	return cmd
}

// listed is a command that lists all of a collection.
func (c *cli) listed(short, collection, member string, shown []column) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: short, Args: takes(0, 0, ""), ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := c.get(cmd.Context(), collection, nil)
			if err != nil {
				return err
			}
			return c.printList(answer, member, shown)
		},
	}
}

// put is a command that declares something from a file.
func (c *cli) put(short, collection, what string, names completion) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "put <name>", Short: short, Args: takes(1, 1, what), ValidArgsFunction: c.firstOf(names),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := under(collection, args[0])
			if err != nil {
				return err
			}
			if from == "" {
				return wrongUse("--from is missing: JSON, @file, or - for the standard input")
			}
			body, err := c.readJSON("--from", from)
			if err != nil {
				return err
			}
			answer, err := c.call(cmd.Context(), http.MethodPut, path, nil, body)
			if err != nil {
				return err
			}
			return c.show(answer)
		},
	}
	cmd.Flags().StringVarP(&from, "from", "f", "", "what it shall be, as `JSON`, @file, or - for the standard input")
	return cmd
}

// pause is a command that puts something as it is, but paused or not.
func (c *cli) pause(use, short, collection, what string, paused bool, names completion) *cobra.Command {
	return &cobra.Command{
		Use: use + " <name>", Short: short, Args: takes(1, 1, what), ValidArgsFunction: c.firstOf(names),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := under(collection, args[0])
			if err != nil {
				return err
			}
			present, err := c.get(cmd.Context(), path, nil)
			if err != nil {
				return err
			}
			body, err := with(present, "paused", paused)
			if err != nil {
				return fmt.Errorf("read what is there: %w", err)
			}
			answer, err := c.call(cmd.Context(), http.MethodPut, path, url.Values{}, body)
			if err != nil {
				return err
			}
			return c.say(answer, "%sd %s", use, cell(args[0]))
		},
	}
}
