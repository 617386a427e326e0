package main

import "github.com/spf13/cobra"

func (c *cli) stats() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Count tasks by type and status, and what falls due soon", Args: takes(0, 0, ""),
		Example: "timewheel stats", ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := c.get(cmd.Context(), "stats", nil)
			if err != nil {
				return err
			}
			return c.show(answer)
		},
	}
}
