package testkit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/migrations"
)

// Postgres returns the URL of a database with the migrations applied that is
// this test's own, and drops it when the test ends.
func Postgres(tb testing.TB) string {
	tb.Helper()
	server := environment(tb, "DATABASE_URL")
	name := "test_" + strings.ToLower(rand.Text()[:16])
	require.NoError(tb, clone(tb.Context(), server, name))
	afterTest(tb, func(ctx context.Context) error {
		return execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	own, err := inDatabase(server, name)
	require.NoError(tb, err)
	return own
}

// clone creates the database as a copy of the template, which is made first if
// no test of any package has done so yet. Its name says which migrations it
// holds, so that an edit of one makes a new template.
func clone(ctx context.Context, server, name string) (err error) {
	digest, err := migrationsDigest()
	if err != nil {
		return fmt.Errorf("name the template database: %w", err)
	}
	template := "template_" + digest
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to DATABASE_URL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := ensureTemplate(ctx, conn, server, template); err != nil {
		return fmt.Errorf("make the template database: %w", err)
	}
	// The default strategy, and not FILE_COPY, which is no faster here and whose
	// checkpoints would disturb the tests that run at the same time.
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return fmt.Errorf("clone the template database: %w", err)
	}
	return nil
}

// ensureTemplate is safe across processes: one of them builds, under a lock,
// and the template gets its name only once it is whole.
func ensureTemplate(ctx context.Context, conn *pgx.Conn, server, template string) error {
	if there, err := exists(ctx, conn, template); there || err != nil {
		return err
	}
	lock := int64(crc32.ChecksumIEEE([]byte(template)))
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lock); err != nil {
		return err
	}
	err := buildTemplate(ctx, conn, server, template)
	_, unlockErr := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", lock)
	return errors.Join(err, unlockErr)
}

func buildTemplate(ctx context.Context, conn *pgx.Conn, server, template string) error {
	if there, err := exists(ctx, conn, template); there || err != nil {
		return err
	}
	draft := template + "_draft"
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+draft+" WITH (FORCE)"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+draft); err != nil {
		return err
	}
	draftURL, err := inDatabase(server, draft)
	if err != nil {
		return err
	}
	if err := migrations.Up(draftURL); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+template)
	return err
}

func exists(ctx context.Context, conn *pgx.Conn, database string) (there bool, err error) {
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&there)
	return there, err
}

// migrationsDigest fingerprints the migration files. A test runs in its
// package's folder, so the module's root is above it.
func migrationsDigest() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the test does not run inside the module")
		}
		dir = filepath.Dir(dir)
	}
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "migrations", "*.sql"))
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file) //nolint:gosec // G304: the path is our own.
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(content), content)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

func execute(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to DATABASE_URL: %w", err)
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func inDatabase(server, database string) (string, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return "", errors.New("DATABASE_URL is not a URL, want postgres://")
	}
	parsed.Path = "/" + database
	return parsed.String(), nil
}
