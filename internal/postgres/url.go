package postgres

import (
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// errURL says nothing of what the URL holds: its password must reach no log.
var errURL = errors.New("DATABASE_URL cannot be read as postgres://user:password@host:port/name:" +
	" percent-encode what is special in the user, the password and the name")

// ParseURL reads a postgres:// URL in each form that libpq takes, a Unix socket's
// folder as a percent-encoded host included. Its error quotes nothing of the URL.
func ParseURL(text string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(plainHost(text))
	if err != nil || !hasScheme(text) {
		return nil, errURL
	}
	return cfg, nil
}

func hasScheme(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// plainHost moves a percent-encoded host, which package url refuses, to the
// parameter of that name.
func plainHost(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	if !strings.Contains(hosts, "%") {
		return text
	}
	var names, ports []string
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, _ := strings.Cut(host, ":")
		plain, err := url.PathUnescape(name)
		if err != nil {
			return text
		}
		names, ports = append(names, plain), append(ports, port)
	}
	parameters := "host=" + url.QueryEscape(strings.Join(names, ","))
	if strings.Trim(strings.Join(ports, ""), ",") != "" {
		parameters += "&port=" + url.QueryEscape(strings.Join(ports, ","))
	}
	path, query, _ := strings.Cut(tail, "?")
	if query != "" {
		parameters += "&" + query
	}
	return scheme + "://" + user + path + "?" + parameters
}
