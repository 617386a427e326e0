package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode"

	"github.com/timewheel/timewheel/client"
)

// address is where the API is.
func (c *cli) address() string {
	return cmp.Or(c.url, c.getenv("TIMEWHEEL_URL"), defaultURL)
}

// connect makes the client. Nothing is sent yet.
func (c *cli) connect() error {
	if c.client != nil {
		return nil
	}
	key, err := c.accessKey()
	if err != nil {
		return err
	}
	if c.timeout <= 0 {
		return wrongUse("--timeout must be above zero, such as 30s")
	}
	c.client, err = client.New(c.address(), client.WithKey(key), client.WithHTTPClient(&http.Client{
		Timeout: c.timeout,
		// A redirect would turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	if err != nil {
		return wrongUse("%v; check --url and TIMEWHEEL_URL", err)
	}
	return nil
}

// accessKey reads the key, which may be empty.
func (c *cli) accessKey() (string, error) {
	key, from := c.getenv("TIMEWHEEL_KEY"), "TIMEWHEEL_KEY"
	if c.keyFile != "" || key == "" {
		from = cmp.Or(c.keyFile, c.getenv("TIMEWHEEL_KEY_FILE"))
		if from == "" {
			return "", nil
		}
		text, err := os.ReadFile(from) //nolint:gosec // The user names it.
		if err != nil {
			return "", wrongUse("read the file of the key: %v", err)
		}
		if key = strings.TrimSpace(string(text)); key == "" {
			return "", wrongUse("the file %s holds no key", from)
		}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return "", wrongUse("%s does not hold one key and nothing else", from)
	}
	return key, nil
}

// call sends one request and returns the answer as it came.
func (c *cli) call(ctx context.Context, method, path string, query url.Values, body []byte) (json.RawMessage, error) {
	return c.send(ctx, client.Request{Method: method, Path: path, Query: query, Body: body})
}

func (c *cli) send(ctx context.Context, r client.Request) (json.RawMessage, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	answer, err := c.client.Send(ctx, r)
	if err != nil {
		return nil, &callError{cause: err, changes: r.Method != http.MethodGet}
	}
	return answer, nil
}

// get reads what is at a path.
func (c *cli) get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	return c.call(ctx, http.MethodGet, path, query, nil)
}

// under is the path of the thing of this name.
func under(collection, name string) (string, error) {
	if name == "" || name == "." || name == ".." {
		return "", wrongUse("%q is not a name", name)
	}
	return collection + "/" + url.PathEscape(name), nil
}
