package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/itchyny/gojq"
)

// jq carries out a query on each value of the standard input, with the options -r, -c and -e of
// the program of that name, and returns the exit code.
func jq(args []string) int {
	var options []string
	for len(args) > 1 {
		options, args = append(options, args[0]), args[1:]
	}
	query, err := gojq.Parse(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "jq:", err)
		return 3
	}
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	var last any
	for {
		var value any
		if err := decoder.Decode(&value); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			fmt.Fprintln(os.Stderr, "jq:", err)
			return 2
		}
		results := query.Run(value)
		for found, more := results.Next(); more; found, more = results.Next() {
			if err, failed := found.(error); failed {
				fmt.Fprintln(os.Stderr, "jq:", err)
				return 5
			}
			last = found
			if text, isText := found.(string); isText && slices.Contains(options, "-r") {
				fmt.Println(text)
				continue
			}
			encoded, err := gojq.Marshal(found)
			if err != nil {
				fmt.Fprintln(os.Stderr, "jq:", err)
				return 5
			}
			fmt.Println(string(encoded))
		}
	}
	if slices.Contains(options, "-e") && (last == nil || last == false) {
		return 1
	}
	return 0
}
