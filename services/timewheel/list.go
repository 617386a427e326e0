package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// column is one of a table: its title, and the member that it shows.
type column struct{ title, member string }

// columns are written as TITLE=member, with a space between them.
func columns(text string) []column {
	var list []column
	for _, field := range strings.Fields(text) {
		title, name, _ := strings.Cut(field, "=")
		list = append(list, column{title, name})
	}
	return list
}

func titles(list []column) []string {
	var names []string
	for _, col := range list {
		names = append(names, col.title)
	}
	return names
}

// cells are an item's values in the columns. A member may be one of a member: webhook.url.
func (c *cli) cells(list []column, item json.RawMessage) []string {
	var row []string
	for _, col := range list {
		value := item
		name := ""
		for _, name = range strings.Split(col.member, ".") {
			var found map[string]json.RawMessage
			if json.Unmarshal(value, &found) != nil {
				value = nil
				break
			}
			value = found[name]
		}
		text := ""
		if len(value) > 0 {
			text = c.showMember(member{name, value})
		}
		row = append(row, text)
	}
	return row
}

// items is the list that an answer has as this member.
func items(answer json.RawMessage, name string) (list []json.RawMessage, rest map[string]json.RawMessage, err error) {
	if err = json.Unmarshal(answer, &rest); err == nil {
		err = json.Unmarshal(rest[name], &list)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the answer has no list of %s: %w", name, err)
	}
	return list, rest, nil
}

// printList prints an answer that is a list.
func (c *cli) printList(answer json.RawMessage, name string, shown []column) error {
	if c.json() {
		return c.printJSON(answer)
	}
	list, _, err := items(answer, name)
	if err != nil {
		return err
	}
	t := newTable(titles(shown)...)
	for _, item := range list {
		t.row(c.cells(shown, item)...)
	}
	fmt.Fprint(c.out, t.lines(0))
	return c.out.err
}

// show prints an answer that is one thing.
func (c *cli) show(answer json.RawMessage) error {
	if c.json() {
		return c.printJSON(answer)
	}
	return c.describe(answer)
}

// say prints one sentence, or the answer as JSON.
func (c *cli) say(answer json.RawMessage, format string, args ...any) error {
	if c.json() {
		return c.printJSON(answer)
	}
	fmt.Fprintf(c.out, format+"\n", args...)
	return c.out.err
}
