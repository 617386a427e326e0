package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Request is a call whose body and answer are wanted as they are, down to the digits of
// their numbers and to members that this package does not know.
type Request struct {
	// Path is relative to the API, with its parts escaped, such as "type/invoice".
	Method, Path string
	Query        url.Values
	Header       http.Header
	// Body is JSON, or nil. It is sent byte by byte.
	Body []byte
}

// Send sends a request, once, and returns the JSON of the answer as it came. The error of an
// answer that is no JSON is a *json.SyntaxError.
func (c *Client) Send(ctx context.Context, r Request) (json.RawMessage, error) {
	_, body, err := c.exchange(ctx, r)
	if err != nil {
		return nil, err
	}
	var answer json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return answer, nil
}

// exchange sends one request, and reads the answer to its end.
func (c *Client) exchange(ctx context.Context, r Request) (answer http.Header, body []byte, err error) {
	target := c.base.JoinPath(r.Path)
	target.RawQuery = r.Query.Encode()
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	if r.Header != nil {
		request.Header = r.Header.Clone()
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+string(c.key))
	}
	if r.Body != nil {
		// Without GetBody, so that package http cannot send it a second time.
		request.Body, request.GetBody = io.NopCloser(bytes.NewReader(r.Body)), nil
		request.ContentLength = int64(len(r.Body))
		if request.Header.Get("Content-Type") == "" {
			request.Header.Set("Content-Type", "application/json")
		}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if body, err = io.ReadAll(response.Body); err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, nil, problemOf(response, body)
	}
	return response.Header, body, nil
}
