package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Count is a number of tasks. If More, there are more than N.
type Count struct {
	N    int
	More bool
}

// UnmarshalJSON reads a number, or a text such as "10000+".
func (c *Count) UnmarshalJSON(raw []byte) error {
	digits, more := strings.CutSuffix(strings.Trim(string(raw), `"`), "+")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return fmt.Errorf("read a count: %w", err)
	}
	c.N, c.More = n, more
	return nil
}

// String is the number, or such as 10000+.
func (c Count) String() string {
	text := strconv.Itoa(c.N)
	if c.More {
		text += "+"
	}
	return text
}

// Stats are counts of tasks at one moment.
type Stats struct {
	AsOf time.Time `json:"as_of"`
	// Types are the types that have tasks, and their tasks of each status.
	Types map[string]map[string]Count `json:"types"`
	// Overdue is due and has not started, the first of it since OldestOverdue.
	Overdue       Count      `json:"overdue"`
	OldestOverdue *time.Time `json:"oldest_overdue"`
	// Due is what falls due within so long; each includes the ones before.
	Due struct {
		Minute Count `json:"minute"`
		Hour   Count `json:"hour"`
		Day    Count `json:"day"`
	} `json:"due"`
}

// Stats counts tasks.
func (c *Client) Stats(ctx context.Context) (*Stats, error) {
	var s Stats
	if err := c.do(ctx, http.MethodGet, "stats", nil, "", nil, &s); err != nil {
		return nil, fmt.Errorf("count tasks: %w", err)
	}
	return &s, nil
}
