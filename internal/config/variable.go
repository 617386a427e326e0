package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/timewheel/timewheel/internal/telemetry"
)

// variable is one field of a configuration struct, as its tags describe it.
type variable struct {
	key, field string
	fallback   string
	required   bool
	min, max   string
	form       string
	help       string
	value      reflect.Value
}

// variables lists the fields of a configuration struct in their order,
// embedded structs included.
func variables(cfg reflect.Value) []variable {
	var vars []variable
	for _, f := range reflect.VisibleFields(cfg.Type()) {
		tag, ok := f.Tag.Lookup("env")
		if !ok {
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		vars = append(vars, variable{
			key:      key,
			field:    f.Name,
			fallback: f.Tag.Get("envDefault"),
			required: options == "required",
			min:      f.Tag.Get("min"),
			max:      f.Tag.Get("max"),
			form:     f.Tag.Get("form"),
			help:     f.Tag.Get("help"),
			value:    cfg.FieldByIndex(f.Index),
		})
	}
	return vars
}

// kind says in words what the variable's text must be.
func (v variable) kind() string {
	switch v.value.Interface().(type) {
	case time.Duration:
		return "a duration such as 500ms, 90s or 1h"
	case int:
		return "a whole number"
	case bool:
		return "true or false"
	case slog.Level:
		return "debug, info, warn or error"
	case Types:
		return "a list such as mail,invoice=20"
	default:
		return "valid"
	}
}

// check says what is wrong with a value that could be parsed, or nothing.
func (v variable) check() string {
	switch value := v.value.Interface().(type) {
	case string:
		if value == "" {
			return "" // optional: what is required was checked before
		}
		return checkForm(v.form, value)
	case time.Duration:
		return v.between(value, time.ParseDuration)
	case int:
		return v.between(time.Duration(value), func(bound string) (time.Duration, error) {
			n, err := strconv.Atoi(bound)
			return time.Duration(n), err
		})
	default:
		return ""
	}
}

func (v variable) between(value time.Duration, parse func(string) (time.Duration, error)) string {
	low, errLow := parse(v.min)
	high, errHigh := parse(v.max)
	if errLow != nil || errHigh != nil {
		return "has bounds that cannot be read, which is a fault of this program"
	}
	if value < low || value > high {
		return fmt.Sprintf("is out of range, want %s to %s", v.min, v.max)
	}
	return ""
}

func checkForm(form, value string) string {
	switch form {
	case "postgres":
		// Its forms are more than package url knows, and are read by postgres.
		if !strings.HasPrefix(value, "postgres://") && !strings.HasPrefix(value, "postgresql://") {
			return "is not a URL that starts with postgres:// or postgresql://"
		}
	case "redis":
		// Several hosts are more than package url knows, and are read by wheel.
		if scheme, _, found := strings.Cut(value, "://"); found && slices.Contains(severalHosts, scheme) {
			return ""
		}
		return checkURL(value, "redis", "rediss", "unix")
	case "http":
		return checkURL(value, "http", "https")
	case "addr":
		_, port, err := net.SplitHostPort(value)
		if n, portErr := strconv.Atoi(port); err != nil || portErr != nil || n < 0 || n > 65535 {
			return "is not an address such as :8080 or 127.0.0.1:8080"
		}
	case "pooler":
		if value != "none" && value != "transaction" {
			return "is not none or transaction"
		}
	case "auth":
		if value != "off" && value != "keys" {
			return "is not off or keys"
		}
	case "prefix":
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("{}*?[]", r) }) {
			return "has a character other than visible ASCII without {}*?[]"
		}
	case "otlp":
		return telemetry.CheckEndpoint(value)
	case "otlp-protocol":
		if value != "grpc" && value != "http/protobuf" {
			return "is not grpc or http/protobuf"
		}
	case "log":
		if value != "json" && value != "text" {
			return "is not json or text"
		}
	}
	return ""
}

// severalHosts are the schemes of REDIS_URL for more servers than one.
var severalHosts = []string{"redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}

func checkURL(value string, schemes ...string) string {
	u, err := url.Parse(value) // its error quotes the URL and so is not shown
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Opaque != "" {
		return "is not a URL that starts with " + strings.Join(schemes, ":// or ") + "://"
	}
	if !strings.HasPrefix(u.Scheme, "http") {
		return ""
	}
	if u.Hostname() == "" || u.User != nil {
		return "is a URL without a host, or with a user or password"
	}
	return ""
}

// Usage prints the environment variables of a service as a table: name,
// default, meaning. cfg is the service's configuration struct, API{} or
// Worker{}.
func Usage(w io.Writer, service string, cfg any) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Environment variables of %s:\n\n", service)
	for _, v := range variables(reflect.ValueOf(cfg)) {
		fallback := v.fallback
		if v.required {
			fallback = "(required)"
		}
		bounds := ""
		if v.min != "" {
			bounds = fmt.Sprintf(" (%s to %s)", v.min, v.max)
		}
		fmt.Fprintf(&text, "  %s\t%s\t%s%s\n", v.key, fallback, v.help, bounds)
	}
	text.WriteString("\nEach may be given as NAME_FILE, which names a file that holds the value.\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := io.WriteString(table, text.String())
	if err = errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("print usage: %w", err)
	}
	return nil
}
