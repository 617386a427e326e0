package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// completionPatience is how long somebody who has pressed the tab key waits.
const completionPatience = 800 * time.Millisecond

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// nothing completes nothing, not even the names of files.
func nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// fixed completes these words.
func fixed(words ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// firstOf completes the first argument and none after it.
func (c *cli) firstOf(names completion) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nothing(cmd, args, typed)
		}
		return names(cmd, args, typed)
	}
}

func complete(cmd *cobra.Command, flag string, words completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // there is no such flag
	}
}

// ask reads a list for a completion. Whatever fails, there is nothing to complete.
func (c *cli) ask(cmd *cobra.Command, path, member string, query url.Values) []json.RawMessage {
	c.timeout = completionPatience
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	answer, err := c.get(ctx, path, query)
	if err != nil {
		return nil
	}
	list, _, err := items(answer, member)
	if err != nil {
		return nil
	}
	return list
}

func (c *cli) names(cmd *cobra.Command, path, member string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, item := range c.ask(cmd, path, member, nil) {
		var thing struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(item, &thing) == nil && thing.Name != "" {
			names = append(names, cell(thing.Name))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *cli) typeNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.names(cmd, "type", "types")
}

func (c *cli) scheduleNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.names(cmd, "schedule", "schedules")
}

// labelTexts are the labels of the newest tasks.
func (c *cli) labelTexts(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var texts []string
	seen := map[string]bool{}
	for _, item := range c.ask(cmd, "task", "tasks", url.Values{"limit": {"100"}}) {
		var labelled struct {
			Labels map[string]string `json:"labels"`
		}
		if json.Unmarshal(item, &labelled) != nil {
			continue
		}
		for key, value := range labelled.Labels {
			if text := key + ":" + cell(value); !seen[text] {
				seen[text] = true
				texts = append(texts, text)
			}
		}
	}
	return texts, cobra.ShellCompDirectiveNoFileComp
}

// plainBash stands in for the two functions of bash-completion that the script for bash calls,
// where that is not loaded. Words end at spaces alone, so that label:value is one.
const plainBash = `declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref() {
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cword=$((${#words[@]} - 1))
    cur=${words[cword]} prev=${words[cword > 0 ? cword - 1 : 0]}
}
declare -F __ltrim_colon_completions >/dev/null || __ltrim_colon_completions() {
    [[ $1 == *:* && $COMP_WORDBREAKS == *:* ]] || return 0
    local i
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"${1%"${1##*:}"}"}; done
}
`

func (c *cli) completion() *cobra.Command {
	shells := map[string]func(*cobra.Command) error{
		"bash": func(root *cobra.Command) error {
			fmt.Fprint(c.out, plainBash)
			return root.GenBashCompletionV2(c.out, true)
		},
		"zsh":  func(root *cobra.Command) error { return root.GenZshCompletion(c.out) },
		"fish": func(root *cobra.Command) error { return root.GenFishCompletion(c.out, true) },
	}
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print the completion script of a shell", Args: takes(1, 1, "bash, zsh or fish"),
		Example: "source <(timewheel completion bash)", ValidArgsFunction: c.firstOf(fixed("bash", "zsh", "fish")),
		RunE: func(cmd *cobra.Command, args []string) error {
			generate, known := shells[args[0]]
			if !known {
				return wrongUse("there is a script for bash, zsh and fish, not for %q", args[0])
			}
			return generate(cmd.Root())
		},
	}
}
