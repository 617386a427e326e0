package handler

import (
	"net/url"
	"strconv"
	"strings"
)

// parseTarget reads payload.url. The messages quote nothing of it, as its
// path and query may hold a secret.
func parseTarget(raw string) (*url.URL, []Problem) {
	refuse := func(message string) (*url.URL, []Problem) {
		return nil, []Problem{{"payload.url", message}}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return refuse("is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return refuse("must start with http:// or https://")
	case u.Opaque != "" || u.Hostname() == "":
		return refuse("must name a host")
	case strings.Contains(u.RawQuery, " "):
		return refuse("has a space in its query")
	case u.User != nil:
		return refuse("must not hold a user or password; send an Authorization header")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return refuse("has a port that is not 1 to 65535")
		}
	}
	return u, nil
}

// origin names a target in errors and logs without what may be secret in it.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
