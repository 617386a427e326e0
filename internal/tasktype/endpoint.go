package tasktype

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const secretPrefix = "whsec_"

// Endpoint makes the handler of a type that sends the payload of each task to its own
// address: as the body of a POST, byte by byte as the client gave it. A status of 2xx is
// done, as for the general webhook.
//
// With a secret each request is signed as Standard Webhooks says (version 1): webhook-id,
// webhook-timestamp and the body, by HMAC-SHA256; by both secrets while one is changed.
func (r *Registry) Endpoint(t task.Type) Func {
	return func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
		target, problems := parseTarget(t.Webhook.URL)
		if err := payloadError(problems); err != nil {
			return nil, err
		}
		c := call{method: http.MethodPost, url: target, header: http.Header{}, body: tk.Payload}
		for name, value := range t.Webhook.Headers {
			c.header.Set(name, value)
		}
		if len(c.body) > 0 && c.header.Get("Content-Type") == "" {
			c.header.Set("Content-Type", "application/json")
		}
		sign(c.header, tk.ID.String(), time.Now(), c.body, t.Webhook.Secret, t.Webhook.PreviousSecret)
		return r.send(ctx, tk, c)
	}
}

// sign adds the headers of Standard Webhooks, if there is a secret.
func sign(header http.Header, id string, at time.Time, body []byte, secrets ...*task.Secret) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, secret := range secrets {
		if secret == nil {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), secretPrefix))
		if err != nil { // it was checked when the type was put
			continue
		}
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(id + "." + timestamp + ".")) // a hash never fails
		_, _ = mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", timestamp)
	if len(signatures) > 0 {
		header.Set("Webhook-Signature", strings.Join(signatures, " "))
	}
}

// CheckEndpoint says what is wrong with the address of a type.
func CheckEndpoint(url string) []Problem {
	_, problems := parseTarget(url)
	for i := range problems {
		problems[i].Field = "webhook.url"
	}
	return problems
}
