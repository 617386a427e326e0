package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm asks before many are changed. Without somebody who could answer it refuses, at once.
func (c *cli) confirm(ctx context.Context, what string) error {
	if !isTerminal(c.in) || !isTerminal(c.errOut) {
		return wrongUse("nothing was changed: this would %s; say --yes to go on, or --dry-run to count", what)
	}
	fmt.Fprintf(c.errOut, "This will %s. Go on? [y/N] ", what)
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(c.in).ReadString('\n') // what cannot be read is no yes
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answered:
		if answer == "y" || answer == "yes" {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(c.errOut)
	}
	return &failure{exitFailure, "nothing was changed"}
}
