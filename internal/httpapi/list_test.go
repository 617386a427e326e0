package httpapi_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestListPages(t *testing.T) {
	s := newService(t)
	a := s.do(t, "GET", "/task", "")
	require.Equal(t, map[string]any{"tasks": []any{}, "next_cursor": nil}, a.body)
	require.Empty(t, a.Header().Get("Link"))

	var newestFirst []string
	for i := range 7 {
		s.do(t, "POST", "/task", good)
		newestFirst = append([]string{s.tasks[i].ID.String()}, newestFirst...)
	}
	var seen []string
	next, pages := "/task?limit=3&type=foo&status=submitted", 0
	for ; next != ""; pages++ {
		a := s.do(t, "GET", next, "")
		require.Equal(t, 200, a.Code)
		for _, one := range a.body["tasks"].([]any) {
			seen = append(seen, one.(map[string]any)["task_id"].(string))
		}
		next = ""
		if link := a.Header().Get("Link"); link != "" {
			require.Contains(t, link, a.body["next_cursor"])
			next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		} else {
			require.Nil(t, a.body["next_cursor"])
		}
	}
	require.Equal(t, newestFirst, seen)
	require.Equal(t, 3, pages)
	last := s.asked[len(s.asked)-1]
	require.Equal(t, task.Filter{Status: "submitted", Type: "foo", Limit: 3, After: task.Place{ID: s.tasks[1].ID}}, last)

	// A page that just holds the rest has no next.
	a = s.do(t, "GET", "/task?limit=7", "")
	require.Len(t, a.body["tasks"], 7)
	require.Nil(t, a.body["next_cursor"])
}

// The store may end a page early; what comes next is found all the same.
func TestListPagesOfLargeTasks(t *testing.T) {
	s := newService(t)
	for range 5 {
		s.do(t, "POST", "/task", good)
	}
	s.full = 2
	lengths, next := []int{}, "/task?limit=4"
	for next != "" {
		a := s.do(t, "GET", next, "")
		lengths = append(lengths, len(a.body["tasks"].([]any)))
		next = strings.TrimSuffix(strings.TrimPrefix(a.Header().Get("Link"), "<"), `>; rel="next"`)
		require.Equal(t, next == "", a.body["next_cursor"] == nil)
	}
	require.Equal(t, []int{2, 2, 1}, lengths)
}

func TestListLimits(t *testing.T) {
	s := newService(t)
	for _, limit := range []int{1, 50, 1000} {
		require.Equal(t, 200, s.do(t, "GET", "/task?limit="+strconv.Itoa(limit), "").Code)
		require.Equal(t, limit, s.asked[len(s.asked)-1].Limit)
	}
	require.Equal(t, 200, s.do(t, "GET", "/task?", "").Code)
	require.Equal(t, 50, s.asked[len(s.asked)-1].Limit)
}

func TestBadListParameters(t *testing.T) {
	s := newService(t)
	for query, fields := range map[string][]string{
		"limit=0": {"limit"}, "limit=1001": {"limit"}, "limit=1000000000": {"limit"}, "limit=-1": {"limit"}, "limit=x": {"limit"},
		"limit=": {"limit"}, "limit=%2B5": {"limit"}, "limit=1e2": {"limit"}, "limit=99999999999999999999": {"limit"},
		"status=gone": {"status"}, "status=": {"status"}, "status=Done": {"status"}, "type=qux": {"type"}, "type=": {"type"},
		"type=foo%00": {"type"}, "offset=3": {"offset"}, "limit=1&limit=2": {"limit"}, "%zz": {"query"}, "a;b": {"query"},
		"label=url": {"label"}, "label=:x": {"label"}, "label=": {"label"}, "label=a%00:b": {"label"}, "label=a:%00": {"label"}, "label=a:%ff": {"label"},
		"label=" + strings.Repeat("k", 64) + ":v": {"label"}, "label=k:" + strings.Repeat("%C3%A9", 128): {"label"}, "label=%C3%A9:v": {"label"},
		strings.Repeat("label=a:b&", 17): {"label"}, "label=a:b&label=x": {"label"},
		"due_after=x": {"due_after"}, "due_before=": {"due_before"}, "due_after=2030-01-01T00:00:00": {"due_after"}, "created_after=2030-13-01T00:00:00Z": {"created_after"},
		"created_after=2030-01-01T00:00:00Z&created_after=2030-01-01T00:00:00Z":  {"created_after"},
		"due_after=2030-01-01T00:00:00Z&due_before=2030-01-01T00:00:00Z":         {"due_before"},
		"created_after=2030-01-01T00:00:00Z&created_before=2029-01-01T00:00:00Z": {"created_before"},
		"order=":                               {"order"},
		"order=created":                        {"order"},
		"order=-due":                           {"order"},
		"order=due":                            {"status"},
		"order=due&status=done":                {"status"},
		"order=due&type=foo":                   {"status"},
		"order=due&status=submitted&order=due": {"order"},
		"limit=0&status=x&type=x&Sort=x":       {"Sort", "status", "type", "limit"},
	} {
		a := s.do(t, "GET", "/task?"+query, "")
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, fields, a.fields(), query)
	}
	require.Empty(t, s.asked)
}

func TestListFilters(t *testing.T) {
	s := newService(t)
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	for query, want := range map[string]task.Filter{
		"label=url:http://a:80/x":                          {Labels: task.Labels{"url:http://a:80/x"}},
		"label=e:":                                         {Labels: task.Labels{"e:"}},
		"label=b:2&label=a:1&label=b:2":                    {Labels: task.Labels{"a:1", "b:2"}},
		"label=a:1&label=a:2":                              {Labels: task.Labels{"a:1", "a:2"}},
		"label=A/b.c_d-9:" + strings.Repeat("%C3%A9", 127): {Labels: task.Labels{"A/b.c_d-9:" + strings.Repeat("é", 127)}},
		"due_after=2030-01-01T00:00:00Z&due_before=2030-01-01T02:00:00%2B01:00": {Due: task.Window{Start: &at, End: &later}},
		"created_after=2029-12-31T23:59:59.9999991Z":                            {Created: task.Window{Start: &at}},
		"order=-created":                      {Order: task.NewestFirst},
		"order=due&status=submitted&type=foo": {Order: task.SoonestDue, Status: task.Submitted, Type: "foo"},
		"order=due&status=started_executing":  {Order: task.SoonestDue, Status: task.Started},
	} {
		require.Equal(t, 200, s.do(t, "GET", "/task?"+query, "").Code, query)
		want.Limit = task.DefaultPage
		require.Equal(t, want, s.asked[len(s.asked)-1], query)
	}
}

// A cursor goes on with the list that it is of, and with no other.
func TestCursorsOfOtherLists(t *testing.T) {
	s := newService(t)
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	place := task.Place{DueAt: at, ID: uuid.Max}
	base := task.Filter{Status: task.Submitted, Type: "foo", Labels: task.Labels{"a:1"}, Due: task.Window{Start: &at}, Order: task.SoonestDue}
	query := "status=submitted&type=foo&label=a:1&due_after=2030-01-01T00:00:00Z&order=due"
	a := s.do(t, "GET", "/task?limit=7&"+query+"&cursor="+httpapi.EncodeCursor(base, place), "")
	require.Equal(t, 200, a.Code)
	require.Equal(t, place, s.asked[len(s.asked)-1].After)
	for _, change := range []func(*task.Filter){
		func(f *task.Filter) { f.Status = task.Started },
		func(f *task.Filter) { f.Type = "bar" },
		func(f *task.Filter) { f.Labels = nil },
		func(f *task.Filter) { f.Labels = task.Labels{"a:1", "b:1"} },
		func(f *task.Filter) { f.Due.Start = nil },
		func(f *task.Filter) { f.Due.End = &time.Time{} },
		func(f *task.Filter) { f.Created.Start = &at },
		func(f *task.Filter) { f.Created.End = &at },
		func(f *task.Filter) { f.Order = "" },
	} {
		other := base
		change(&other)
		a := s.do(t, "GET", "/task?"+query+"&cursor="+httpapi.EncodeCursor(other, place), "")
		requireProblem(t, a, 400, "invalid_cursor")
	}
	// The names of the orders are one list.
	place.DueAt = time.Time{}
	require.Equal(t, 200, s.do(t, "GET", "/task?order=-created&cursor="+httpapi.EncodeCursor(task.Filter{}, place), "").Code)
}

func TestBrokenCursors(t *testing.T) {
	s := newService(t)
	whole := httpapi.EncodeCursor(task.Filter{}, task.Place{ID: uuid.Max})
	require.Equal(t, 200, s.do(t, "GET", "/task?cursor="+whole, "").Code)
	for _, broken := range []string{
		"", "x", whole[1:], whole[:len(whole)-1], whole + "A", whole + "=", "B" + whole[1:], whole[:5] + "%0A" + whole[5:], "%00", "****",
		uuid.NewString(),
	} {
		requireProblem(t, s.do(t, "GET", "/task?cursor="+broken, ""), 400, "invalid_cursor")
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(httpapi.EncodeCursor(task.Filter{}, task.Place{ID: uuid.Max}))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, filter := range []task.Filter{{}, {Status: task.Submitted, Order: task.SoonestDue}} {
			if place, err := httpapi.DecodeCursor(cursor, filter); err == nil {
				require.Equal(t, cursor, httpapi.EncodeCursor(filter, place), "two cursors for one place")
			}
		}
	})
}

func FuzzListParameters(f *testing.F) {
	f.Add("status=done&type=foo&limit=5&cursor=" + httpapi.EncodeCursor(task.Filter{Status: "done", Type: "foo"}, task.Place{ID: uuid.Max}))
	f.Add("limit=%31&x=y;z")
	f.Fuzz(func(t *testing.T, query string) {
		filter, err := httpapi.ParseFilter([]string{"foo"}, query)
		if err == nil {
			require.True(t, filter.Status == "" || filter.Status.Valid())
			require.True(t, filter.Type == "" || filter.Type == "foo")
			require.GreaterOrEqual(t, filter.Limit, 1)
			require.LessOrEqual(t, filter.Limit, task.MaxPage)
		}
	})
}
