package httpapi_test

import (
	"strconv"
	"strings"
	"testing"

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
	require.Equal(t, task.Filter{Status: "submitted", Type: "foo", Limit: 3, Before: s.tasks[1].ID}, last)

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
		"limit=0&status=x&type=x&Sort=x": {"Sort", "limit", "status", "type"},
	} {
		a := s.do(t, "GET", "/task?"+query, "")
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, fields, a.fields(), query)
	}
	require.Empty(t, s.asked)
}

func TestBrokenCursors(t *testing.T) {
	s := newService(t)
	whole := httpapi.EncodeCursor(uuid.Max) // ends in w: 110000, of which two bits are not part of it
	require.Equal(t, 200, s.do(t, "GET", "/task?cursor="+whole, "").Code)
	for _, broken := range []string{
		"", "x", whole[1:], whole[:len(whole)-1], whole[:len(whole)-1] + "x", whole + "A", whole + "=", "B" + whole[1:], whole[:5] + "%0A" + whole[5:], "%00", "****",
		uuid.NewString(),
	} {
		requireProblem(t, s.do(t, "GET", "/task?cursor="+broken, ""), 400, "invalid_cursor")
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(httpapi.EncodeCursor(uuid.Max))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		if id, ok := httpapi.DecodeCursor(cursor); ok {
			require.Equal(t, cursor, httpapi.EncodeCursor(id), "two cursors for one place")
		}
	})
}

func FuzzListParameters(f *testing.F) {
	f.Add("status=done&type=foo&limit=5&cursor=" + httpapi.EncodeCursor(uuid.Max))
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
