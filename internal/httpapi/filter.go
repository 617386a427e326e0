package httpapi

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// filterNames are what picks tasks, wherever they are to be picked.
var filterNames = []string{"status", "type", "label", "due_after", "due_before", "created_after", "created_before"}

// listNames are what a list takes.
var listNames = append(slices.Clone(filterNames), "order", "limit", "cursor")

// parseFilter reads the query of GET /task and lists everything that is wrong
// with it.
func (a *api) parseFilter(ctx context.Context, query string) (task.Filter, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return task.Filter{}, invalidFields(FieldError{"query", "is not encoded as a query should be"})
	}
	var f faults
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(listNames, name) {
			f.add(shorten(name), "is not known; there are "+enumerate(listNames))
			delete(values, name)
		}
	}
	filter := a.readFilter(ctx, values, &f)
	filter.Limit = task.DefaultPage
	if value, given := once(values, "limit", &f); given {
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || n < 1 || n > task.MaxPage {
			f.add("limit", "must be a whole number from 1 to "+strconv.Itoa(task.MaxPage))
		}
		filter.Limit = int(n)
	}
	if value, given := once(values, "order", &f); given {
		filter.Order = task.Order(value)
		if filter.Order != task.NewestFirst && filter.Order != task.SoonestDue {
			f.add("order", "must be due or -created")
		}
	}
	if field, why := filter.Missing(); field != "" {
		f.add(field, why)
	}
	cursor, given := once(values, "cursor", &f)
	if err := f.err(); err != nil || !given {
		return filter, err
	}
	filter.After, err = decodeCursor(cursor, &filter)
	return filter, err
}

// readFilter reads what picks tasks, by the names of filterNames, and nothing else.
func (a *api) readFilter(ctx context.Context, values map[string][]string, f *faults) (filter task.Filter) {
	if value, given := once(values, "status", f); given {
		filter.Status = task.Status(value)
		if !filter.Status.Valid() {
			f.add("status", "is not a status: submitted, started_executing, done, failed or deleted")
		}
	}
	if value, given := once(values, "type", f); given {
		filter.Type = value
		if _, declared, err := a.reach.Find(ctx, value); !declared {
			f.undeclared("type", err)
		}
	}
	filter.Labels = readLabels(values["label"], f)
	filter.Due = readWindow(values, "due", f)
	filter.Created = readWindow(values, "created", f)
	return filter
}

// once is the value of a name that may be given once.
func once(values map[string][]string, name string, f *faults) (value string, given bool) {
	all, given := values[name]
	switch {
	case !given:
		return "", false
	case len(all) != 1:
		f.add(name, "is given more than once")
		return "", false
	}
	return all[0], true
}

// readLabels reads texts key:value.
func readLabels(texts []string, f *faults) task.Labels {
	if len(texts) > task.MaxLabels {
		f.add("label", "must not be given more than "+strconv.Itoa(task.MaxLabels)+" times")
		return nil
	}
	var labels []string
	for _, text := range texts {
		label, err := task.ParseLabel(text)
		if err != nil {
			f.add("label", err.Error())
			continue
		}
		labels = append(labels, label)
	}
	return task.LabelsOf(labels)
}

// readWindow reads NAME_after and NAME_before.
func readWindow(values map[string][]string, name string, f *faults) (w task.Window) {
	bound := func(name string) *time.Time {
		value, given := once(values, name, f)
		if !given {
			return nil
		}
		at, err := parseTime(value)
		if err != nil {
			f.add(name, err.Error())
			return nil
		}
		return &at
	}
	w = task.Window{Start: bound(name + "_after"), End: bound(name + "_before")}
	if w.Start != nil && w.End != nil && !w.Start.Before(*w.End) {
		f.add(name+"_before", "must be later than "+name+"_after")
	}
	return w
}

// filterQuery is the query that readFilter reads as filter, and its order.
func filterQuery(filter *task.Filter) url.Values {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("status", string(filter.Status))
	set("type", filter.Type)
	for _, label := range filter.Labels {
		query.Add("label", label)
	}
	bound := func(name string, at *time.Time) {
		if at != nil {
			query.Set(name, formatTime(*at))
		}
	}
	bound("due_after", filter.Due.Start)
	bound("due_before", filter.Due.End)
	bound("created_after", filter.Created.Start)
	bound("created_before", filter.Created.End)
	if filter.Order == task.SoonestDue {
		query.Set("order", string(filter.Order))
	}
	return query
}

func enumerate(names []string) string {
	last := len(names) - 1
	return fmt.Sprintf("%s and %s", strings.Join(names[:last], ", "), names[last])
}
