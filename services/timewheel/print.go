package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// output is the standard output. It keeps the first error, with which the run then ends.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = fmt.Errorf("write the output: %w", err)
	}
	return n, err
}

func isTerminal(stream any) bool {
	if wrapped, ok := stream.(*output); ok {
		stream = wrapped.w
	}
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// printJSON prints an answer, indented, with every digit that it came with.
func (c *cli) printJSON(answer []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, answer, "", "  "); err != nil {
		return fmt.Errorf("indent the answer: %w", err)
	}
	fmt.Fprintln(c.out, harmless(indented.String()))
	return c.out.err
}

// printLine prints an answer as one line of JSON.
func (c *cli) printLine(answer []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, answer); err != nil {
		return fmt.Errorf("compact the answer: %w", err)
	}
	fmt.Fprintln(c.out, harmless(line.String()))
	return c.out.err
}

// harmless writes those control characters as escapes that JSON lets stand in a text, and
// that a terminal would obey. The value stays the same.
func harmless(text string) string {
	return escape(text, func(r rune) bool { return (unicode.IsControl(r) && r != '\n') || unicode.Is(unicode.Bidi_Control, r) })
}

// printable writes everything as escapes that moves the cursor or cannot be seen, but for
// line ends.
func printable(text string) string {
	return escape(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' })
}

func escape(text string, dangerous func(rune) bool) string {
	if !strings.ContainsFunc(text, dangerous) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if dangerous(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// cell is a text for one line of a table.
func cell(text string) string { return strings.ReplaceAll(printable(text), "\n", " ") }

// textOf is a JSON value that is a text, or empty.
func textOf(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}

// plain is a JSON value for a person: a text without its quotes, anything else as it is.
func plain(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return cell(text) // null is an empty one
	}
	return cell(string(value))
}

// table lines up columns.
type table struct {
	widths []int
	rows   [][]string
}

func newTable(titles ...string) *table {
	t := &table{widths: make([]int, len(titles))}
	t.row(titles...)
	return t
}

func (t *table) row(cells ...string) {
	for i, text := range cells {
		t.widths[i] = max(t.widths[i], runewidth.StringWidth(text))
	}
	t.rows = append(t.rows, cells)
}

// lines writes the rows that there are, cut to a width unless it is zero, and forgets them. The columns
// stay as wide as they are.
func (t *table) lines(width int) string {
	var out strings.Builder
	for _, row := range t.rows {
		padded := make([]string, len(row))
		for i, text := range row {
			padded[i] = runewidth.FillRight(text, t.widths[i])
		}
		line := strings.TrimRight(strings.Join(padded, "  "), " ")
		if width > 0 {
			line = runewidth.Truncate(line, width, "…")
		}
		out.WriteString(line + "\n")
	}
	t.rows = nil
	return out.String()
}

// describe prints the members of an object, one a line, and leaves out what is null.
func (c *cli) describe(answer json.RawMessage) error {
	found, err := members(answer)
	if err != nil {
		return errors.New("the answer is not as expected: " + err.Error())
	}
	t := &table{widths: make([]int, 2)}
	for _, m := range found {
		if string(m.value) == "null" {
			continue
		}
		t.row(cell(strings.ReplaceAll(m.name, "_", " ")), c.showMember(m))
	}
	fmt.Fprint(c.out, t.lines(0))
	return c.out.err
}

// showMember writes times in the zone of this machine.
func (c *cli) showMember(m member) string {
	text := plain(m.value)
	for _, suffix := range []string{"_at", "_time", "_after", "_until"} {
		if strings.HasSuffix(m.name, suffix) {
			return showTime(text, c.now().Location())
		}
	}
	return text
}
