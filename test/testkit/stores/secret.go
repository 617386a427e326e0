package stores

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// superuserAuth is who may be the superuser of a private Postgres: whoever has
// the password. Any user of this machine can reach its port, and a superuser
// runs programs as the server's user.
const superuserAuth = "host all all 127.0.0.1/32 scram-sha-256\n"

func (p *Postgres) passwordFile() string { return filepath.Join(p.dir, "postgres.password") }

// readPassword reads the superuser's password, which is made with the data
// folder. known is false if there is none yet.
func (p *Postgres) readPassword() (known bool, err error) {
	text, err := os.ReadFile(p.passwordFile())
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.password = rand.Text()
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the password of postgres: %w", err)
	}
	p.password = string(text)
	return true, nil
}

// writePassword writes the file whole or not at all, for the server's user
// alone.
func (p *Postgres) writePassword() error {
	draft := p.passwordFile() + ".new"
	err := errors.Join(os.RemoveAll(draft), os.WriteFile(draft, []byte(p.password), 0o600), p.handOver(draft))
	if err = errors.Join(err, os.Rename(draft, p.passwordFile())); err != nil {
		return fmt.Errorf("write the password of postgres: %w", err)
	}
	return nil
}

// protect closes a data folder of an earlier release, whose server asked nobody
// for a password. The server is down and stays so: it is told the password
// without a port. The file comes last, as its being there says that the rest is
// done.
func (p *Postgres) protect() error {
	rules := filepath.Join(p.data(), "pg_hba.conf")
	err := errors.Join(os.WriteFile(rules+".new", []byte(superuserAuth), 0o600), p.handOver(rules+".new"))
	if err = errors.Join(err, os.Rename(rules+".new", rules)); err != nil {
		return fmt.Errorf("close the postgres data folder: %w", err)
	}
	statement := fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'\n", databaseName, p.password)
	if err := p.runOnce(p.data(), "protect.log", statement, "postgres", "--single", "-D", p.data(), "postgres"); err != nil {
		return fmt.Errorf("give the postgres data folder a password: %w", err)
	}
	return p.writePassword()
}
