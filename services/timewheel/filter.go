package main

import (
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// filter picks tasks, by flags.
type filter struct {
	status, taskType                                 string
	labels                                           []string
	dueAfter, dueBefore, createdAfter, createdBefore string
}

func (f *filter) register(c *cli, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.status, "status", "", "only tasks of this `status`")
	flags.StringVar(&f.taskType, "type", "", "only tasks of this `type`")
	flags.StringArrayVar(&f.labels, "label", nil, "only tasks with this label, as `key:value`; may be repeated, and then all must hold")
	flags.StringVar(&f.dueAfter, "due-after", "", "only tasks due at this `time` or later")
	flags.StringVar(&f.dueBefore, "due-before", "", "only tasks due before this `time`")
	flags.StringVar(&f.createdAfter, "created-after", "", "only tasks created at this `time` or later")
	flags.StringVar(&f.createdBefore, "created-before", "", "only tasks created before this `time`")
	complete(cmd, "status", fixed("submitted", "started_executing", "done", "failed", "deleted"))
	complete(cmd, "type", c.typeNames)
	complete(cmd, "label", c.labelTexts)
}

// empty reports whether every task fits.
func (f *filter) empty() bool {
	return f.status == "" && f.taskType == "" && len(f.labels) == 0 && f.dueAfter == "" && f.dueBefore == "" &&
		f.createdAfter == "" && f.createdBefore == ""
}

// texts are the members that are set, but for the labels, with the times as they are sent.
func (f *filter) texts(now time.Time) ([][2]string, error) {
	var set [][2]string
	for _, given := range [][2]string{{"status", f.status}, {"type", f.taskType}} {
		if given[1] != "" {
			set = append(set, given)
		}
	}
	for _, given := range [][2]string{
		{"due_after", f.dueAfter}, {"due_before", f.dueBefore}, {"created_after", f.createdAfter}, {"created_before", f.createdBefore},
	} {
		if given[1] == "" {
			continue
		}
		at, err := parseWhen(given[1], now)
		if err != nil {
			return nil, err
		}
		set = append(set, [2]string{given[0], at})
	}
	return set, nil
}

// query is the filter as GET /task takes it.
func (f *filter) query(now time.Time) (url.Values, error) {
	set, err := f.texts(now)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, given := range set {
		query.Set(given[0], given[1])
	}
	for _, text := range f.labels {
		if _, _, err := splitLabel(text); err != nil {
			return nil, err
		}
		query.Add("label", text)
	}
	return query, nil
}

// json is the filter as POST /operation takes it.
func (f *filter) json(now time.Time) ([]byte, error) {
	set, err := f.texts(now)
	if err != nil {
		return nil, err
	}
	o := newObject()
	for _, given := range set {
		o.add(given[0], given[1])
	}
	if len(f.labels) > 0 {
		if _, err := labelObject(f.labels); err != nil {
			return nil, err
		}
		o.add("label", f.labels)
	}
	return o.bytes(), nil
}

// splitLabel takes key:value apart. A key has no colon, a value may have some.
func splitLabel(text string) (key, value string, err error) {
	key, value, found := strings.Cut(text, ":")
	if !found || key == "" {
		return "", "", wrongUse("a label is written as key:value, not %q", text)
	}
	return key, value, nil
}

// labelObject is a JSON object of labels.
func labelObject(labels []string) ([]byte, error) {
	o, seen := newObject(), map[string]bool{}
	for _, text := range labels {
		key, value, err := splitLabel(text)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, wrongUse("the label %q is given twice", key)
		}
		seen[key] = true
		o.add(key, value)
	}
	return o.bytes(), nil
}
