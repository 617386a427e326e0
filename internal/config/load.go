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
	var none T
	environ, err := fromFiles(nonEmpty(os.Environ()), variables(reflect.ValueOf(none)))
	if err != nil {
		return none, err
	}
	cfg, err := env.ParseAsWithOptions[T](env.Options{Environment: environ})
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
// shells pass those for what the user did not give. The space around a value
// belongs to whatever wrote it: a secret that was made by echo ends with a line
// feed.
func nonEmpty(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		if key, value, ok := strings.Cut(entry, "="); ok && strings.TrimSpace(value) != "" {
			vars[key] = strings.TrimSpace(value)
		}
	}
	return vars
}

// fromFiles reads the variables that are not set from the files that NAME_FILE
// names, which is how secrets are handed to containers.
func fromFiles(environ map[string]string, vars []variable) (map[string]string, error) {
	var faults []error
	for _, v := range vars {
		file, given := environ[v.key+"_FILE"]
		if _, set := environ[v.key]; set || !given {
			continue
		}
		content, err := os.ReadFile(file) //nolint:gosec // the operator names it
		if err != nil {
			faults = append(faults, fmt.Errorf("%s_FILE names a file that cannot be read", v.key))
			continue
		}
		if text := strings.TrimSpace(string(content)); text != "" {
			environ[v.key] = text
		}
	}
	return environ, errors.Join(faults...)
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
