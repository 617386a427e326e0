package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) stats() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Count tasks by type and status, and what falls due soon", Args: takes(0, 0, ""),
		Example: "timewheel stats", ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := c.get(cmd.Context(), "stats", nil)
			if err != nil || c.json() {
				return orPrint(err, c, answer)
			}
			return c.printStats(answer)
		},
	}
}

var countColumns = columns("SUBMITTED=submitted STARTED=started_executing DONE=done FAILED=failed DELETED=deleted")

// printStats shows a line for each type, and then what is late and what comes. A count is a
// number, or a text such as "10000+".
func (c *cli) printStats(answer json.RawMessage) error {
	var counted struct {
		Types         json.RawMessage `json:"types"`
		Overdue       json.RawMessage `json:"overdue"`
		OldestOverdue string          `json:"oldest_overdue"`
		Due           struct {
			Minute json.RawMessage `json:"minute"`
			Hour   json.RawMessage `json:"hour"`
			Day    json.RawMessage `json:"day"`
		} `json:"due"`
	}
	err := json.Unmarshal(answer, &counted)
	var types []member
	if err == nil {
		types, err = members(counted.Types)
	}
	if err != nil {
		return fmt.Errorf("the answer is not as expected: %w", err)
	}
	t := newTable(append([]string{"TYPE"}, titles(countColumns)...)...)
	for _, m := range types {
		t.row(append([]string{cell(m.name)}, c.cells(countColumns, m.value)...)...)
	}
	fmt.Fprint(c.out, t.lines(0))
	oldest := ""
	if counted.OldestOverdue != "" {
		oldest = ", the oldest since " + showTime(counted.OldestOverdue, c.now().Location())
	}
	fmt.Fprintf(c.out, "\noverdue: %s%s\ndue within a minute: %s, an hour: %s, a day: %s\n", plain(counted.Overdue), oldest,
		plain(counted.Due.Minute), plain(counted.Due.Hour), plain(counted.Due.Day))
	return c.out.err
}
