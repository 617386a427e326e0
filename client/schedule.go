package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Schedule makes tasks again and again. Durations are as time.Duration prints them. What is
// empty has its default.
type Schedule struct {
	Name string `json:"name,omitempty"`
	// Either of the two.
	Cron  string `json:"cron,omitempty"`
	Every string `json:"every,omitempty"`
	// TimeZone is the IANA name of the zone in which Cron is read.
	TimeZone string `json:"time_zone,omitempty"`
	// StartsAt is included and EndsAt is not.
	StartsAt *time.Time    `json:"starts_at,omitempty"`
	EndsAt   *time.Time    `json:"ends_at,omitempty"`
	Jitter   string        `json:"jitter,omitempty"`
	CatchUp  string        `json:"catch_up,omitempty"` // none, last or all
	Overlap  string        `json:"overlap,omitempty"`  // allow or skip
	Paused   bool          `json:"paused,omitempty"`
	Task     ScheduledTask `json:"task"`
	// Skipped is what did not run. Answers alone have it.
	Skipped *Skipped `json:"skipped,omitempty"`
}

// ScheduledTask is what each occurrence is.
type ScheduledTask struct {
	Type        string            `json:"task_type"`
	Payload     json.RawMessage   `json:"payload,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	MaxAttempts int               `json:"max_attempts,omitempty"`
	Timeout     string            `json:"timeout,omitempty"`
	Retry       *Retry            `json:"retry,omitempty"`
}

// Skipped counts the occurrences that did not run, by reason, and names the latest.
type Skipped struct {
	Late       int64      `json:"late"`
	Overlap    int64      `json:"overlap"`
	Changed    int64      `json:"changed"`
	LastAt     *time.Time `json:"last_at"`
	LastReason string     `json:"last_reason"`
}

// PutSchedule makes a schedule, or replaces the one of its name, and returns it as it is
// now. Nil means that no task of the schedule as it was starts any more.
func (c *Client) PutSchedule(ctx context.Context, s Schedule) (*Schedule, error) {
	var put Schedule
	if err := c.do(ctx, http.MethodPut, schedulePath(s.Name), nil, "", s, &put); err != nil {
		return nil, fmt.Errorf("put a schedule: %w", err)
	}
	return &put, nil
}

// GetSchedule looks at a schedule.
func (c *Client) GetSchedule(ctx context.Context, name string) (*Schedule, error) {
	var s Schedule
	if err := c.do(ctx, http.MethodGet, schedulePath(name), nil, "", nil, &s); err != nil {
		return nil, fmt.Errorf("get a schedule: %w", err)
	}
	return &s, nil
}

// Schedules lists all schedules, in the order of their names.
func (c *Client) Schedules(ctx context.Context) ([]Schedule, error) {
	var all []Schedule
	for query := (url.Values{}); ; {
		var list struct {
			Schedules []Schedule `json:"schedules"`
			Next      string     `json:"next_after"`
		}
		if err := c.do(ctx, http.MethodGet, "schedule", query, "", nil, &list); err != nil {
			return nil, fmt.Errorf("list the schedules: %w", err)
		}
		all = append(all, list.Schedules...)
		if list.Next == "" {
			return all, nil
		}
		query.Set("after", list.Next)
	}
}

// Next is when a schedule falls due next: up to n instants.
func (c *Client) Next(ctx context.Context, name string, n int) ([]time.Time, error) {
	var preview struct {
		Next []time.Time `json:"next"`
	}
	query := url.Values{"n": {strconv.Itoa(n)}}
	if err := c.do(ctx, http.MethodGet, schedulePath(name)+"/next", query, "", nil, &preview); err != nil {
		return nil, fmt.Errorf("preview a schedule: %w", err)
	}
	return preview.Next, nil
}

// DeleteSchedule deletes a schedule, and its tasks that have not started.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	if err := c.do(ctx, http.MethodDelete, schedulePath(name), nil, "", nil, nil); err != nil {
		return fmt.Errorf("delete a schedule: %w", err)
	}
	return nil
}

func schedulePath(name string) string { return "schedule/" + url.PathEscape(name) }
