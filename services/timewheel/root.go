package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/internal/telemetry"
)

const defaultURL = "http://127.0.0.1:8080"

const longHelp = `timewheel is the command line of timewheel's API.

Times are RFC 3339 with a zone (2030-01-02T15:04:05Z), now, or relative to this machine's
clock (+5m, +2h30m, +7d).

Environment:
  TIMEWHEEL_URL       where the API is (default ` + defaultURL + `)
  TIMEWHEEL_KEY       the access key; there is no flag for it, since every user of a machine
                      can read the arguments of a process
  TIMEWHEEL_KEY_FILE  a file that holds the access key

Exit codes:
  0    done                          5  it conflicts with what is there (409, 412)
  1    another failure               6  the API found a fault in what was given (400, 422)
  2    wrong use of this program     7  no answer, or only "later" (429, 502, 503, 504)
  3    not found (404)               130  interrupted
  4    refused (401, 403)`

// cli is one run of the program.
type cli struct {
	in     io.Reader
	out    *output
	errOut io.Writer
	getenv func(string) string
	now    func() time.Time

	// The flags that every command has.
	format, url, keyFile string
	timeout              time.Duration

	client *client.Client // once connect has been called
}

// run carries out a command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if c.out.err != nil && !errors.Is(c.out.err, syscall.EPIPE) {
		err = c.out.err // what the command did may have been well, but nobody could read it
	}
	code, message := c.explain(ctx, err)
	if message != "" {
		fmt.Fprintln(c.errOut, "timewheel:", message)
	}
	return code
}

func (c *cli) root() *cobra.Command {
	root := group("timewheel", "The command line of timewheel's API",
		c.task(), c.taskType(), c.schedule(), c.operation(), c.key(), c.stats(), c.completion(), c.version())
	root.Long = longHelp
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.Version = telemetry.Version()
	root.SetVersionTemplate("timewheel {{.Version}}\n")
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := "see " + cmd.CommandPath() + " --help"
		if strings.HasSuffix(err.Error(), "unknown flag: --key") {
			hint = "the access key is read from TIMEWHEEL_KEY, TIMEWHEEL_KEY_FILE or --key-file"
		}
		return wrongUse("%s; %s", printable(err.Error()), hint)
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&c.format, "output", "o", "table", "the `format` of what is printed: json or table")
	flags.StringVar(&c.url, "url", "", "`where` the API is (TIMEWHEEL_URL, else "+defaultURL+")")
	flags.StringVar(&c.keyFile, "key-file", "", "the `file` that holds the access key (else TIMEWHEEL_KEY)")
	flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long one answer may take")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.format != "json" && c.format != "table" {
			return wrongUse("-o is json or table, not %q", c.format)
		}
		return nil
	}
	complete(root, "output", fixed("json", "table"))
	return root
}

// json reports whether the answer is wanted as JSON, and nothing else.
func (c *cli) json() bool { return c.format == "json" }

// note tells something that is no part of the answer.
func (c *cli) note(format string, args ...any) { fmt.Fprintf(c.errOut, format+"\n", args...) }

// group is a command that only has others under it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		what := "a command is missing"
		if len(args) > 0 {
			what = fmt.Sprintf("there is no command %q", args[0])
		}
		return wrongUse("%s; %s has %s; see %s --help", what, cmd.CommandPath(), strings.Join(names, ", "), cmd.CommandPath())
	}}
	for _, sub := range commands {
		if sub.Example != "" {
			sub.Example = "  " + sub.Example
		}
	}
	g.AddCommand(commands...)
	return g
}

// takes checks how many arguments there are; what names them in the message. No most is -1.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return wrongUse("%s is missing; see %s --help", what, cmd.CommandPath())
		case most >= 0 && len(args) > most:
			return wrongUse("%q is one argument too many; see %s --help", args[most], cmd.CommandPath())
		}
		return nil
	}
}

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: takes(0, 0, ""), Example: "timewheel version",
		RunE: func(*cobra.Command, []string) error {
			if c.json() {
				return c.printJSON(newObject().add("version", telemetry.Version()).bytes())
			}
			fmt.Fprintln(c.out, "timewheel", telemetry.Version())
			return nil
		},
	}
}
