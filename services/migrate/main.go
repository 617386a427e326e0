// Migrate applies the migrations of the system of record to the database that
// DATABASE_URL names.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/migrations"
)

const usage = `Usage: migrate <command>

Commands:
  up        apply every migration that the database lacks
  down [N]  take back the last N migrations (default 1), and the data in them
  version   print the version of the database's schema
  --version print the version of this program

Environment:
  DATABASE_URL       the database, as postgres://user:password@host:port/name
  DATABASE_PASSWORD  the password for a DATABASE_URL without one, as it is
  Each may be given as NAME_FILE, which names a file that holds the value.

  POSTGRES_POOLER    transaction if the services reach Postgres by a connection pooler
                     in transaction mode: up then gives this role the settings that
                     their connections must have. migrate itself needs the address of
                     the server and not of the pooler.
`

const connectPatience = 10 * time.Second

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(arguments []string, out, errOut io.Writer) int {
	command, steps, err := parse(arguments)
	if err != nil {
		fmt.Fprintf(errOut, "migrate: %v\n\n%s", err, usage)
		return 2
	}
	switch command {
	case "help":
		fmt.Fprint(out, usage)
		return 0
	case "--version":
		fmt.Fprintln(out, "migrate", telemetry.Version())
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal lets a migration that runs come to its end; the second
	// ends this program, and the server rolls the migration back.
	context.AfterFunc(ctx, stop)
	log := slog.New(slog.NewTextHandler(errOut, nil))
	database, err := config.LoadDatabase()
	if err == nil {
		err = apply(ctx, command, steps, database, out, log)
	}
	if err != nil {
		fmt.Fprintf(errOut, "migrate: %s\n", migrations.Sentence(err))
		return 1
	}
	return 0
}

func parse(arguments []string) (command string, steps int, err error) {
	if len(arguments) == 0 {
		return "", 0, errors.New("a command is missing")
	}
	command, rest := arguments[0], arguments[1:]
	switch command {
	case "help", "-h", "-help", "--help":
		return "help", 0, nil
	case "-version", "--version":
		return "--version", 0, nil
	case "down":
		steps = 1
		if len(rest) > 0 {
			if steps, err = strconv.Atoi(rest[0]); err != nil || steps < 1 {
				return "", 0, fmt.Errorf("down takes a number from 1 on, not %q", rest[0])
			}
			rest = rest[1:]
		}
	case "up", "version":
	default:
		return "", 0, fmt.Errorf("there is no command %q", command)
	}
	if len(rest) > 0 {
		return "", 0, fmt.Errorf("%s does not take %q", command, rest[0])
	}
	return command, steps, nil
}

func apply(ctx context.Context, command string, steps int, database config.Database, out io.Writer, log *slog.Logger) error {
	pins := command == "up" && database.Pooler == "transaction"
	if err := reach(ctx, database.DatabaseURL, pins); err != nil {
		return err
	}
	var target int // of down; known once the database's version is
	err := migrations.Run(ctx, database.DatabaseURL, log, func(m *migrate.Migrate) (err error) {
		switch command {
		case "up":
			err = up(m, log)
		case "down":
			err = down(m, steps, &target)
		}
		if err != nil {
			return explain(err)
		}
		return report(m, out)
	})
	if err == nil && ctx.Err() != nil {
		return errors.New("interrupted, with the schema at that version")
	}
	return err
}

// reach fails with the reason in one sentence, which the migration library does
// not have. With pins, it gives the role the settings that connections must have.
func reach(ctx context.Context, databaseURL string, pins bool) error {
	cfg, err := postgres.ParseURL(databaseURL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("reach the database of DATABASE_URL: %w", err)
	}
	if pins {
		err = postgres.PinRole(ctx, conn)
	}
	return errors.Join(err, conn.Close(ctx))
}

// up leaves a schema alone that is newer than this program: the nodes of this
// release run on it, and so its rollout goes on.
func up(m *migrate.Migrate, log *slog.Logger) error {
	err := m.Up()
	switch {
	case errors.Is(err, os.ErrNotExist):
		log.Warn("the schema is newer than this program knows, so there is nothing to do")
		return nil
	case errors.Is(err, migrate.ErrNoChange):
		return nil
	}
	return err
}

// down goes to a version and not so many steps, so that it may be called again.
func down(m *migrate.Migrate, steps int, target *int) error {
	version, _, err := m.Version()
	switch {
	case errors.Is(err, migrate.ErrNilVersion):
		return nil
	case err != nil:
		return err
	}
	if *target == 0 {
		*target = int(version) - steps
	}
	if *target < 1 {
		err = m.Down()
	} else {
		err = m.Migrate(uint(*target))
	}
	if errors.Is(err, migrate.ErrNoChange) {
		return nil
	}
	return err
}

// explain turns the migration library's answers into sentences.
func explain(err error) error {
	var dirty migrate.ErrDirty
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("the schema is of a version that this program does not know: use the newer program")
	case errors.As(err, &dirty):
		return fmt.Errorf("schema_migrations says that migration %d is half applied, which this program never does:"+
			" find out which version the schema has, N, and type"+
			` psql "$DATABASE_URL" -c "UPDATE schema_migrations SET version = N, dirty = false"`, dirty.Version)
	}
	return err
}

func report(m *migrate.Migrate, out io.Writer) error {
	version, dirty, err := m.Version()
	switch {
	case errors.Is(err, migrate.ErrNilVersion):
		_, err = fmt.Fprintln(out, "no migration is applied")
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case dirty:
		_, err = fmt.Fprintf(out, "version %d, marked as half applied: migrate up looks into it\n", version)
	default:
		_, err = fmt.Fprintf(out, "version %d\n", version)
	}
	return err
}
