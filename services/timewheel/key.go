package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (c *cli) key() *cobra.Command {
	list := c.listed("List the access keys, without their secrets", "key", "keys",
		columns("ID=id NAME=name SCOPES=scopes TYPES=types EXPIRES=expires_at USED=last_used_at REVOKED=revoked_at"))
	list.Example = "timewheel key list"
	revoke := c.named(named{
		use: "revoke", short: "Revoke an access key, at once", method: http.MethodDelete, collection: "key", what: "the id of a key",
		done: "revoked",
	})
	revoke.Example = "timewheel key revoke 01a20a4c-b334-7f2c-a252-84152c4429d5"
	return group("key", "Access keys", c.keyCreate(), list, revoke)
}

func (c *cli) keyCreate() *cobra.Command {
	var (
		name, expiresIn string
		scopes, types   []string
	)
	known := []string{"read", "create", "change", "lease", "admin"}
	cmd := &cobra.Command{
		Use: "create", Short: "Make an access key, and print it, once", Args: takes(0, 0, ""), ValidArgsFunction: nothing,
		Example: "timewheel key create --name ci --scopes create,read --expires-in 90d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" || len(scopes) == 0 {
				return wrongUse("--name and --scopes are needed, such as --name ci --scopes create,read")
			}
			o := newObject().add("name", name).add("scopes", scopes)
			if len(types) > 0 {
				o.add("types", types)
			}
			answer, err := c.call(cmd.Context(), http.MethodPost, "key", nil, o.addText("expires_in", expiresIn).bytes())
			if err != nil || c.json() {
				return orPrint(err, c, answer)
			}
			var made struct {
				Key string `json:"key"`
			}
			if err := json.Unmarshal(answer, &made); err != nil || made.Key == "" {
				return &failure{exitFailure, "the answer holds no key"}
			}
			c.note("This is the only time that the key is shown:")
			fmt.Fprintln(c.out, cell(made.Key))
			return c.out.err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "what it is called")
	flags.StringSliceVar(&scopes, "scopes", nil, "what it may do: read, create, change, lease, admin")
	flags.StringSliceVar(&types, "types", nil, "the `prefixes` of the task types that it sees, such as billing.")
	flags.StringVar(&expiresIn, "expires-in", "", "how `long` it is good for, such as 90d (default for ever)")
	complete(cmd, "scopes", fixed(known...))
	return cmd
}

// orPrint is the error, or prints an answer as JSON if there is none.
func orPrint(err error, c *cli, answer json.RawMessage) error {
	if err != nil {
		return err
	}
	return c.printJSON(answer)
}
