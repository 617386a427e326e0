package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/postgres"
)

// KeyUsage is how KeyCommand is called.
const KeyUsage = `api key create --name NAME --scopes SCOPE,... [--types PREFIX,...] [--expires-in 90d]
        makes a key and prints it, once
  api key list
        lists the keys, without their texts
  api key revoke ID
        revokes a key; within a second no node accepts it`

// KeyCommand makes, lists and revokes keys in the database that DATABASE_URL names: whoever reaches
// that needs no key. It is how the first one is made.
func KeyCommand(ctx context.Context, args []string, out io.Writer) error {
	do, err := readKeyCommand(ctx, args, out)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDatabase()
	if err != nil {
		return err
	}
	return withDatabase(ctx, cfg, do)
}

func withDatabase(ctx context.Context, cfg config.Database, do func(db *postgres.DB) error) error {
	log := slog.New(slog.DiscardHandler) // the error says what failed
	db, err := postgres.Open(ctx, postgres.Options{URL: cfg.DatabaseURL, Work: 1, TransactionPooler: cfg.Pooler == "transaction"}, log)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

// readKeyCommand is what a command line asks for.
func readKeyCommand(ctx context.Context, args []string, out io.Writer) (do func(db *postgres.DB) error, err error) {
	if len(args) == 0 {
		return nil, errors.New("key create, key list or key revoke? See --help")
	}
	switch command, rest := args[0], args[1:]; command {
	case "create":
		wanted, err := readNewKey(rest)
		if err != nil {
			return nil, err
		}
		do = func(db *postgres.DB) error {
			_, text, err := CreateKey(ctx, db, wanted, nil)
			if err == nil {
				_, err = fmt.Fprintln(out, text)
			}
			return err
		}
	case "list":
		if len(rest) > 0 {
			return nil, fmt.Errorf("key list takes no %q", rest[0])
		}
		do = func(db *postgres.DB) error {
			all, err := db.ListKeys(ctx)
			if err != nil {
				return err
			}
			return printKeys(out, all)
		}
	case "revoke":
		if len(rest) != 1 {
			return nil, errors.New("key revoke takes one id, as key list prints it")
		}
		id, err := uuid.Parse(rest[0])
		if err != nil {
			return nil, errors.New("key revoke takes the id of a key, not the key")
		}
		do = func(db *postgres.DB) error { return db.RevokeKey(ctx, id) }
	default:
		return nil, fmt.Errorf("there is no command key %s, see --help", command)
	}
	return do, nil
}

func readNewKey(args []string) (wanted access.NewKey, err error) {
	flags := flag.NewFlagSet("key create", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&wanted.Name, "name", "", "")
	scopes := flags.String("scopes", "", "")
	types := flags.String("types", "", "")
	expires := flags.String("expires-in", "", "")
	if err := flags.Parse(args); err != nil {
		return wanted, err
	}
	if flags.NArg() > 0 {
		return wanted, fmt.Errorf("key create takes no %q", flags.Arg(0))
	}
	for _, name := range split(*scopes) {
		scope, known := access.ParseScope(name)
		if !known {
			return wanted, fmt.Errorf("there is no scope %q: there are %s", name, strings.Join(access.ScopeNames(), ", "))
		}
		wanted.Scopes |= scope
	}
	wanted.Types = split(*types)
	if *expires != "" {
		if wanted.ExpiresIn, err = access.ParseExpiry(*expires); err != nil {
			return wanted, fmt.Errorf("--expires-in: %w", err)
		}
	}
	var faults []error
	for _, fault := range wanted.Faults() {
		faults = append(faults, fmt.Errorf("--%s %s", fault.Member, fault.Message))
	}
	return wanted, errors.Join(faults...)
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func printKeys(out io.Writer, all []access.Key) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tBEGINS\tNAME\tSCOPES\tTYPES\tEXPIRES\tREVOKED\tLAST USED")
	for i := range all {
		k := &all[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Hint, k.Name, k.Scopes, strings.Join(k.Types, ","),
			dateOf(k.ExpiresAt), dateOf(k.RevokedAt), dateOf(k.LastUsedAt))
	}
	return table.Flush()
}

func dateOf(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.Format(time.RFC3339)
}
