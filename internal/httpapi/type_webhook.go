package httpapi

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/net/http/httpguts"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	maxWebhookHeaders          = 50
	maxWebhookURL              = 2048
	maxHeaderValue             = 8 << 10
	secretPrefix               = "whsec_"
	leastSecret, longestSecret = 24, 64 // bytes, as Standard Webhooks says
)

// senderHeaders are set by the sender or belong to one connection.
var senderHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Traceparent", "Tracestate", "Transfer-Encoding", "Upgrade",
}

func readWebhook(raw jsontext.Value, t *task.Type, f *faults) {
	w := &task.Webhook{}
	given := false
	readObject(raw, "webhook", f, map[string]func(jsontext.Value){
		"url": func(v jsontext.Value) {
			given = true
			w.URL = textOf(v)
			if v.Kind() != '"' || len(w.URL) > maxWebhookURL {
				f.add("webhook.url", "must be a string of at most 2048 bytes")
			}
		},
		"headers":         func(v jsontext.Value) { w.Headers = readHeaders(v, f) },
		"secret":          func(v jsontext.Value) { w.Secret = readSecret(v, "webhook.secret", f) },
		"previous_secret": func(v jsontext.Value) { w.PreviousSecret = readSecret(v, "webhook.previous_secret", f) },
	})
	if raw.Kind() == '{' && !given {
		f.add("webhook.url", "is required")
	}
	t.Webhook = w
}

func readHeaders(raw jsontext.Value, f *faults) map[string]string {
	if raw.Kind() == 'n' {
		return nil
	}
	if raw.Kind() != '{' {
		f.add("webhook.headers", "must be an object of strings")
		return nil
	}
	headers := map[string]string{}
	err := readMembers(newDecoder(raw), raw, func(name []byte, value jsontext.Value) {
		headers[http.CanonicalHeaderKey(string(name))] = textOf(value)
		if problem := headerFault(string(name), value); problem != "" {
			f.add("webhook.headers."+shorten(string(name)), problem)
		}
	})
	if err != nil || len(headers) > maxWebhookHeaders {
		f.add("webhook.headers", "must not be more than 50")
	}
	return headers
}

func headerFault(name string, value jsontext.Value) string {
	canonical := http.CanonicalHeaderKey(name)
	text := textOf(value)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return "is not a valid header name"
	case slices.Contains(senderHeaders, canonical), strings.HasPrefix(canonical, "Webhook-"), strings.HasPrefix(canonical, "X-Task-"):
		return "is set by the sender and cannot be given"
	case value.Kind() != '"' || !httpguts.ValidHeaderFieldValue(text) || len(text) > maxHeaderValue:
		return "is not a valid header value"
	}
	return ""
}

// readSecret reads a secret. null is an empty one, which removes what is there.
func readSecret(raw jsontext.Value, field string, f *faults) *task.Secret {
	secret := task.Secret(textOf(raw))
	if raw.Kind() == 'n' {
		return &secret
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), secretPrefix))
	if raw.Kind() != '"' || err != nil || len(key) < leastSecret || len(key) > longestSecret {
		f.add(field, "must be whsec_ and 24 to 64 bytes in base64")
	}
	return &secret
}

// showWebhook shows no secret.
func showWebhook(t *task.Type) any {
	if t.Webhook == nil {
		return nil
	}
	return struct {
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers,omitempty"`
	}{t.Webhook.URL, maps.Clone(t.Webhook.Headers)}
}
