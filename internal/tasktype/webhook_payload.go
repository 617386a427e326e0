package tasktype

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// call is a webhook's payload, read and checked.
type call struct {
	method string
	url    *url.URL
	header http.Header
	// body is nil if there is none.
	body []byte
}

var webhookMethods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// ownHeaders belong to one connection or to the sender, and so cannot be the
// payload's to set.
var ownHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// maxHeaders is how many headers a payload may set.
const maxHeaders = 100

// parseCall reads {method, url, headers, body} and lists everything that is
// wrong with it.
func parseCall(payload json.RawMessage) (call, []Problem) {
	fields, others, problems := members(payload, "method", "url", "headers", "body")
	if problems != nil {
		return call{}, problems
	}
	slices.Sort(others)
	for _, name := range others {
		problems = append(problems, Problem{within("payload", name), "is not known; a webhook has method, url, headers and body"})
	}
	var c call
	var found []Problem

	c.method, found = callMethod(fields)
	problems = append(problems, found...)

	if _, given := fields["url"]; !given {
		problems = append(problems, Problem{"payload.url", "is required"})
	} else if raw, bad := text(fields, "url"); bad != nil {
		problems = append(problems, bad...)
	} else {
		c.url, found = parseTarget(raw)
		problems = append(problems, found...)
	}

	c.header, found = callHeader(fields["headers"])
	problems = append(problems, found...)

	c.body = callBody(fields["body"], c.header)
	return c, problems
}

func callMethod(fields map[string]json.RawMessage) (string, []Problem) {
	if _, given := fields["method"]; !given {
		return http.MethodPost, nil
	}
	method, problems := text(fields, "method")
	if problems == nil && !slices.Contains(webhookMethods, method) {
		problems = []Problem{{"payload.method", "must be one of " + strings.Join(webhookMethods, ", ")}}
	}
	return method, problems
}

func callHeader(raw json.RawMessage) (http.Header, []Problem) {
	header := http.Header{}
	if raw == nil {
		return header, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return header, []Problem{{"payload.headers", "must be an object of strings"}}
	}
	var problems []Problem
	if len(given) > maxHeaders {
		return header, []Problem{{"payload.headers", fmt.Sprintf("must not be more than %d", maxHeaders)}}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		var value string
		refuse := func(message string) {
			problems = append(problems, Problem{within("payload.headers", name), message})
		}
		canonical := http.CanonicalHeaderKey(name)
		switch err := json.Unmarshal(given[name], &value); {
		case err != nil || string(given[name]) == "null":
			refuse("must be a string")
		case !httpguts.ValidHeaderFieldName(name):
			refuse("is not a valid header name")
		case slices.Contains(ownHeaders, canonical) || strings.HasPrefix(canonical, "X-Task-"):
			refuse("is set by the sender and cannot be given")
		case !httpguts.ValidHeaderFieldValue(value):
			refuse("is not a valid header value")
		case header[canonical] != nil:
			refuse("is given twice")
		default:
			header.Set(name, value)
		}
	}
	return header, problems
}

// callBody makes the bytes to send: a string as it is, any other value as
// JSON. It names the content type of JSON unless the payload did.
func callBody(raw json.RawMessage, header http.Header) []byte {
	if raw == nil {
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return []byte(text)
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	return raw
}
