package tasktype

import (
	"fmt"
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
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return refuse("has a space or a control character, which must be percent-encoded")
	case !isASCII(u.Host):
		return refuse("has a host that is not ASCII; write it in Punycode, as xn--...")
	case u.User != nil:
		return refuse("must not hold a user or password; send an Authorization header")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return refuse("has a port that is not 1 to 65535")
		}
	}
	u.RawQuery = asciiQuery(u.RawQuery)
	return u, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e })
}

// asciiQuery percent-encodes what a request line cannot hold (RFC 3986, RFC 9112),
// as the path is encoded by package url, and leaves all else as it was written.
func asciiQuery(query string) string {
	var encoded strings.Builder
	for i := range len(query) {
		switch c := query[i]; {
		case c <= ' ' || c > 0x7e, strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			fmt.Fprintf(&encoded, "%%%02X", c)
		default:
			encoded.WriteByte(c)
		}
	}
	return encoded.String()
}

// origin names a target in errors and logs without what may be secret in it.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
