package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/access"
)

// foreignPages keeps out what a web page of somebody else makes a browser send, while no keys are
// asked for: everybody may do everything, but not every page that a person on this machine looks at.
// A page may send a simple request across origins; and with a name of its own that it makes lead
// here it is of the same origin, and may read too. Programs that are no browsers name no origin.
func (a *api) foreignPages(loopback bool, hosts []string) gin.HandlerFunc {
	origins := http.NewCrossOriginProtection()
	names := make([]string, len(hosts))
	for i, host := range hosts {
		names[i] = strings.ToLower(strings.TrimSpace(host))
	}
	return func(c *gin.Context) {
		path := c.FullPath()
		if path == "" || a.scopes[route{c.Request.Method, path}] == access.Open {
			return
		}
		if origins.Check(c.Request) != nil {
			a.refuse(c, errCrossOrigin)
			return
		}
		if loopback && !isHere(c.Request.Host, names) {
			a.refuse(c, errMisdirected)
		}
	}
}

// isHere reports whether a Host header names this machine, or is one of hosts.
func isHere(host string, hosts []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(hosts, host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
