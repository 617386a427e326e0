package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/timewheel/timewheel/client"
)

const (
	requestTimeout = 30 * time.Second
	// pageSize is the most tasks that one page of the list may hold.
	pageSize = 1000
)

// record is what the API says of a task.
type record = client.Task

// newAPI speaks to the API over so many connections.
func newAPI(base *url.URL, connections int) (*client.Client, error) {
	return client.New(base.String(), client.WithHTTPClient(&http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections},
	}))
}

// alive says in one sentence if nobody is there to be loaded.
func alive(ctx context.Context, api *client.Client) error {
	if err := api.Live(ctx); err != nil {
		return fmt.Errorf("nothing to load, is the API up? %w", err)
	}
	return nil
}

// problemIn is the API's own answer in an error, or nil if no answer came.
func problemIn(err error) *client.Problem {
	var p *client.Problem
	errors.As(err, &p)
	return p
}
