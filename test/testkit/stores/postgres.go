package stores

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/timewheel/timewheel/test/testkit/process"
)

// The superuser and the database that a private Postgres has.
const databaseName = "timewheel"

// Postgres is a private Postgres.
type Postgres struct {
	server
	bin string // the folder of the server's programs
	// password is the superuser's.
	password string
	// credential is the user that Postgres runs as if this process is root,
	// which Postgres refuses, or else nil.
	credential *syscall.Credential
}

// StartPostgres starts a private Postgres, makes its data folder if there is
// none, and returns once it answers. Close ends it.
func StartPostgres(ctx context.Context, options Options) (*Postgres, error) {
	binary, err := find("postgres")
	if err != nil {
		return nil, err
	}
	// initdb stands beside the real file, and not beside a link to it.
	if binary, err = filepath.EvalSymlinks(binary); err != nil {
		return nil, fmt.Errorf("find the programs of postgres: %w", err)
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, temporary, err := options.home("postgres")
	if err != nil {
		return nil, err
	}
	port, err := reservePort(options.Port)
	if err != nil {
		return nil, err
	}
	p := &Postgres{
		server:     server{name: "postgres", dir: dir, temporary: temporary, port: port, shutdown: syscall.SIGINT},
		bin:        filepath.Dir(binary),
		credential: credential,
	}
	p.probe = p.connect
	// A predecessor that was killed leaves backends that end a moment later.
	p.transient = []string{`lock file "postmaster.pid" already exists`, "is still in use", "Address already in use"}
	arguments := p.arguments(options.Settings)
	p.command = func() *exec.Cmd { return p.run("postgres", p.data(), arguments...) }
	err = p.initialize()
	if err == nil {
		err = p.Start(ctx)
	}
	if err == nil {
		err = p.createDatabase(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// run is one of the server's programs on a data folder, as the user it wants.
func (p *Postgres) run(program, data string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(p.bin, program), arguments...) //nolint:gosec,noctx // G204: all are our own. It outlives ctx.
	command.Dir = data
	// Messages in English are what Start reads.
	command.Env = append(os.Environ(), "LC_ALL=C", "PGDATA="+data)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	return command
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "postgres") }

func (p *Postgres) arguments(extra map[string]string) []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.port.number),
		"unix_socket_directories": "",
		"fsync":                   "on",
		"synchronous_commit":      "on",
		"max_connections":         "300",
		"shared_buffers":          "256MB",
		"max_wal_size":            "4GB",
		"checkpoint_timeout":      "15min",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	maps.Copy(settings, extra)
	var arguments []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		arguments = append(arguments, "-c", name+"="+settings[name])
	}
	return arguments
}

// initialize makes the data folder if there is none. It is made under another
// name, so that one that was left half made is never taken for whole.
func (p *Postgres) initialize() error {
	known, err := p.readPassword()
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.data()); err == nil {
		if known {
			return nil
		}
		return p.protect()
	}
	if err := p.writePassword(); err != nil {
		return err
	}
	draft := p.data() + ".new"
	if err := errors.Join(os.RemoveAll(draft), os.Mkdir(draft, 0o700), p.handOver(draft)); err != nil {
		return fmt.Errorf("make the postgres data folder: %w", err)
	}
	err = p.runOnce(draft, "initdb.log", "", "initdb", "--username="+databaseName, "--auth=scram-sha-256",
		"--pwfile="+p.passwordFile(), "--encoding=UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return fmt.Errorf("initialize the postgres data folder: %w", err)
	}
	if err := os.Rename(draft, p.data()); err != nil {
		return fmt.Errorf("put the postgres data folder in place: %w", err)
	}
	return nil
}

// runOnce runs one of the server's programs to its end. An error quotes what it
// said, which goes to a log in our folder.
func (p *Postgres) runOnce(data, log, input, program string, arguments ...string) error {
	output, err := os.Create(filepath.Join(p.dir, log)) //nolint:gosec // G304: the path is our own.
	if err != nil {
		return err
	}
	defer output.Close() // The child holds its own copy.
	command := p.run(program, data, arguments...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), output, output
	running, err := process.Start(command, syscall.SIGTERM)
	if err == nil {
		err = running.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(output.Name(), 0))
	}
	return nil
}

func (p *Postgres) handOver(dir string) error {
	if p.credential == nil {
		return nil
	}
	return os.Chown(dir, int(p.credential.Uid), int(p.credential.Gid))
}

// StopImmediately ends the server by SIGQUIT: no checkpoint, every connection
// cut, recovery from the log at the next Start. It is an error if the server
// had to be killed.
func (p *Postgres) StopImmediately() error {
	if !p.running() {
		return nil
	}
	return p.program.Stop(syscall.SIGQUIT, stopPatience)
}

// URL is where the server listens, as a postgres:// URL of an empty database.
func (p *Postgres) URL() string { return p.Database(databaseName) }

// Database is the URL of another database on the server, which need not be there.
func (p *Postgres) Database(name string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", databaseName, p.password, p.port.number, name)
}

func (p *Postgres) connect(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.Database("postgres"))
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

func (p *Postgres) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.Database("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the new postgres: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+databaseName)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == pgerrcode.DuplicateDatabase {
		err = nil
	}
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}
