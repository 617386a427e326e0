package stores

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
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
	p := &Postgres{server: server{name: "postgres", shutdown: syscall.SIGINT}, bin: filepath.Dir(binary), credential: credential}
	p.probe = func(ctx context.Context) error { return p.execute(ctx, "SELECT") }
	p.command = func() *exec.Cmd { return p.run("postgres", p.data(), p.arguments(options.Settings)...) }
	for _, step := range []func(context.Context) error{
		func(context.Context) error { return p.prepare(options) },
		p.initialize,
		p.Start,
		p.createDatabase,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// unprivileged is the user to run Postgres as, or nil if this process is not
// root and may run it itself.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // No other user is what a nil credential means to the kernel's caller.
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user to run postgres as: %w", err)
	}
	credential := &syscall.Credential{}
	if _, err := fmt.Sscan(account.Uid+" "+account.Gid, &credential.Uid, &credential.Gid); err != nil {
		return nil, fmt.Errorf("read the ids of user %s: %w", account.Username, err)
	}
	return credential, nil
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

// arguments are the server's settings. The last one of a name wins.
func (p *Postgres) arguments(extra map[string]string) []string {
	arguments := []string{
		"--listen_addresses=127.0.0.1", fmt.Sprintf("--port=%d", p.port.number), "--unix_socket_directories=",
		"--fsync=on", "--synchronous_commit=on", "--max_connections=300", "--shared_buffers=256MB",
		"--max_wal_size=4GB", "--checkpoint_timeout=15min", "--timezone=UTC", "--log_timezone=UTC",
	}
	for name, value := range extra {
		arguments = append(arguments, "--"+name+"="+value)
	}
	return arguments
}

// initialize makes the data folder if there is none. It is made under another
// name, so that one that was left half made is never taken for whole; the file with
// the superuser's password is older, and for the server's user alone.
func (p *Postgres) initialize(ctx context.Context) error {
	file := filepath.Join(p.dir, "postgres.password")
	if _, err := os.Stat(p.data()); err == nil {
		password, err := os.ReadFile(file) //nolint:gosec // G304: the path is our own.
		if err != nil {
			return fmt.Errorf("read the password of postgres, whose data is in %s: %w", p.data(), err)
		}
		p.password = string(password)
		return nil
	}
	p.password = rand.Text()
	draft := p.data() + ".new"
	err := errors.Join(os.RemoveAll(file), os.WriteFile(file, []byte(p.password), 0o600),
		os.RemoveAll(draft), os.Mkdir(draft, 0o700))
	if err == nil && p.credential != nil {
		err = errors.Join(os.Chown(file, int(p.credential.Uid), int(p.credential.Gid)),
			os.Chown(draft, int(p.credential.Uid), int(p.credential.Gid)))
	}
	if err == nil {
		err = p.initdb(ctx, draft, file)
	}
	if err == nil {
		err = os.Rename(draft, p.data())
	}
	if err != nil {
		return fmt.Errorf("make the postgres data folder: %w", err)
	}
	return nil
}

func (p *Postgres) initdb(ctx context.Context, data, passwordFile string) error {
	command := p.run("initdb", data, "--username="+databaseName, "--auth=scram-sha-256",
		"--pwfile="+passwordFile, "--encoding=UTF8", "--locale=C", "--no-sync")
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	if err := process.Run(ctx, command, p.shutdown, stopPatience); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, output.String())
	}
	return nil
}

func (p *Postgres) createDatabase(ctx context.Context) error {
	err := p.execute(ctx, "CREATE DATABASE "+databaseName)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); err == nil || ok && pgErr.Code == pgerrcode.DuplicateDatabase {
		return nil
	}
	return fmt.Errorf("create the database: %w", err)
}

func (p *Postgres) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, p.Database("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// URL is where the server listens, as a postgres:// URL of an empty database.
func (p *Postgres) URL() string { return p.Database(databaseName) }

// Database is the URL of another database on the server, which need not be there.
func (p *Postgres) Database(name string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", databaseName, p.password, p.port.address(), name)
}

// StopImmediately ends the server by SIGQUIT: no checkpoint, every connection
// cut, recovery from the log at the next Start. It is an error if the server
// had to be killed.
func (p *Postgres) StopImmediately() error { return p.end(syscall.SIGQUIT) }

// Pause stops all processes of the server, as a machine that stands still does:
// connections stay, and nobody answers. Resume lets them go on. It is only known on
// Linux, which tells a process' children.
func (p *Postgres) Pause() (resume func() error, err error) {
	return func() error { return p.signalAll(syscall.SIGCONT) }, p.signalAll(syscall.SIGSTOP)
}

// signalAll begins with the first of the processes, so that one that stops starts no others.
func (p *Postgres) signalAll(sig syscall.Signal) error {
	postmaster := p.program.PID()
	if err := syscall.Kill(postmaster, sig); err != nil {
		return fmt.Errorf("send %s to postgres: %w", sig, err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	if err != nil {
		return errors.Join(fmt.Errorf("find the backends of postgres: %w", err), syscall.Kill(postmaster, syscall.SIGCONT))
	}
	for text := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(text); err == nil {
			_ = syscall.Kill(pid, sig) // one that has just ended is not there to get it
		}
	}
	return nil
}
