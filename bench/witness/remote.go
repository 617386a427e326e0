package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Remote is the driver's view of a witness in another process.
type Remote struct {
	// Address is where the process listens, as host:port.
	Address string
}

// client keeps its connections alive between the looks at a worker.
var client = &http.Client{Transport: &http.Transport{}}

// Forget closes the connections to processes that are gone.
func Forget() { client.CloseIdleConnections() }

// Release lets the worker go.
func (r Remote) Release(ctx context.Context) error {
	_, err := r.call(ctx, http.MethodPost, pathRelease)
	return err
}

// Seen is how many tasks the worker has handled.
func (r Remote) Seen(ctx context.Context) (seen int, err error) {
	return seen, r.read(ctx, pathSeen, &seen)
}

// Lateness is how long after its time each task reached its handler; negative
// is early. It holds the first tasks only, if there were very many.
func (r Remote) Lateness(ctx context.Context) ([]time.Duration, error) {
	var samples []int64
	if err := r.read(ctx, pathSamples, &samples); err != nil {
		return nil, err
	}
	late := make([]time.Duration, len(samples))
	for i, sample := range samples {
		late[i] = time.Duration(sample) * time.Microsecond
	}
	return late, nil
}

// StartProfile begins a CPU profile of the process.
func (r Remote) StartProfile(ctx context.Context) error {
	_, err := r.call(ctx, http.MethodPost, pathProfileStart)
	return err
}

// StopProfile ends the profile and returns it, as go tool pprof reads it.
func (r Remote) StopProfile(ctx context.Context) ([]byte, error) {
	return r.call(ctx, http.MethodPost, pathProfileStop)
}

func (r Remote) read(ctx context.Context, path string, into any) error {
	body, err := r.call(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

func (r Remote) call(ctx context.Context, method, path string) (body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.Address+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the witness: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the witness: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the witness: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the witness answered %d to %s", response.StatusCode, path)
	}
	return body, nil
}
