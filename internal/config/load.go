package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// load parses, then checks what could be parsed, so that one run of the
// service names everything that is wrong.
func load[T any]() (T, error) {
	cfg, err := env.ParseAsWithOptions[T](env.Options{Environment: nonEmpty(os.Environ())})
	vars := variables(reflect.ValueOf(cfg))

	faults := map[string]string{}
	var several env.AggregateError
	switch {
	case errors.As(err, &several):
		for _, one := range several.Errors {
			key, fault, known := explain(one, vars)
			if !known {
				return cfg, fmt.Errorf("read the environment: %w", one)
			}
			faults[key] = fault
		}
	case err != nil:
		return cfg, fmt.Errorf("read the environment: %w", err)
	}

	var sentences []error
	for _, v := range vars {
		fault, bad := faults[v.key]
		if !bad {
			fault = v.check()
		}
		if fault != "" {
			sentences = append(sentences, fmt.Errorf("%s %s", v.key, fault))
		}
	}
	return cfg, errors.Join(sentences...)
}

// nonEmpty leaves out variables that are set to nothing: compose files and
// shells pass those for what the user did not give.
func nonEmpty(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		if key, value, ok := strings.Cut(entry, "="); ok && value != "" {
			vars[key] = value
		}
	}
	return vars
}

// explain turns a parser's error, which quotes the value, into a variable and
// what is wrong with it.
func explain(err error, vars []variable) (key, fault string, known bool) {
	if missing, ok := errors.AsType[env.VarIsNotSetError](err); ok {
		return missing.Key, "is required and not set", true
	}
	bad, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return "", "", false
	}
	for _, v := range vars {
		if v.field == bad.Name {
			return v.key, "is not " + v.kind(), true
		}
	}
	return "", "", false
}
