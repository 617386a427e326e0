// Package config reads the environment into validated structs, one a service.
// The struct tags are the single description of a variable: its name, default,
// bounds and help are used to read it, to check it and to print --help.
package config

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Database is how the system of record is reached.
type Database struct {
	DatabaseURL      string `env:"DATABASE_URL,required" form:"postgres" help:"Postgres, the system of record: postgres://user:password@host:5432/name"`
	DatabasePassword string `env:"DATABASE_PASSWORD" help:"the password for a DATABASE_URL without one, as it is"`
	Pooler           string `env:"POSTGRES_POOLER" envDefault:"none" form:"pooler" help:"transaction if a connection pooler in transaction mode stands before Postgres; none also for one in session mode"`
}

// Shared is what every service needs to know.
type Shared struct {
	Database

	RedisURL      string `env:"REDIS_URL,required" form:"redis" help:"Redis, the due index: redis://host:6379/0, redis+sentinel://host:26379,host:26379/master/0 or redis+cluster://host:6379,host:6379; rediss for TLS"`
	RedisPassword string `env:"REDIS_PASSWORD" help:"the password for a REDIS_URL without one, as it is"`

	RedisPrefix string `env:"REDIS_PREFIX" envDefault:"timewheel" form:"prefix" help:"what the names in Redis begin with; each installation on one Redis database needs its own"`

	WheelHorizon time.Duration `env:"WHEEL_HORIZON" envDefault:"1h" min:"1m" max:"24h" help:"how far ahead tasks are held in Redis; the same in every service"`
	WheelShards  int           `env:"WHEEL_SHARDS" envDefault:"1" min:"1" max:"256" help:"has no effect any more: each task type has a ring of its own"`

	BarURL      string        `env:"BAR_URL" envDefault:"https://example.com/" form:"http" help:"what a bar task without payload.url gets; the same in every service"`
	TaskTimeout time.Duration `env:"TASK_TIMEOUT" envDefault:"5m" min:"1ms" max:"24h" help:"how long one attempt of a task may take; the same in every service"`

	TLSCert string `env:"TLS_CERT" help:"the file of the certificate, with those that lead to its root, for HTTPS on LISTEN_ADDR; read again when it changes"`
	TLSKey  string `env:"TLS_KEY" help:"the file of the key of TLS_CERT"`

	AllowUnsafePostgres bool `env:"ALLOW_UNSAFE_POSTGRES" envDefault:"false" help:"run although Postgres has fsync or synchronous_commit off, and acknowledged tasks may be lost"`

	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" form:"otlp" help:"where traces are sent: http://collector:4318; without it none are made"`
	OTLPProtocol string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" form:"otlp-protocol" help:"grpc or http/protobuf; by default grpc for port 4317 and http/protobuf for others"`

	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
	LogFormat string     `env:"LOG_FORMAT" envDefault:"json" form:"log" help:"json or text"`
}

// API is the configuration of the HTTP service.
type API struct {
	ListenAddr    string        `env:"LISTEN_ADDR" envDefault:":8080" form:"addr" help:"host:port of the REST API, health and metrics"`
	ShutdownDelay time.Duration `env:"API_SHUTDOWN_DELAY" envDefault:"3s" min:"0s" max:"10m" help:"how long the API serves on after SIGTERM, not ready any more, so that balancers and clients go elsewhere"`
	Auth          string        `env:"AUTH" envDefault:"off" form:"auth" help:"keys: a request needs a key that permits it; off: everybody may do everything"`
	Hosts         []string      `env:"API_HOSTS" help:"name,name,...: what an API that listens on loopback alone, with AUTH=off, may be called beside localhost, as by a proxy on the same machine"`
	MaxInFlight   int           `env:"API_MAX_IN_FLIGHT" envDefault:"2048" min:"1" max:"1000000" help:"requests in work at once; more are answered 429"`
	Shared
}

// Worker is the configuration of a worker node.
type Worker struct {
	ListenAddr   string        `env:"LISTEN_ADDR" envDefault:":8081" form:"addr" help:"host:port of health and metrics"`
	Concurrency  int           `env:"WORKER_CONCURRENCY" envDefault:"100" min:"1" max:"100000" help:"slots, which are the tasks that run at once"`
	Types        Types         `env:"WORKER_TYPES" help:"the task types that this worker serves, name,name=slots,...; without it all; slots are those of a type alone, the others share the rest"`
	Lease        time.Duration `env:"WORKER_LEASE" envDefault:"15s" min:"3s" max:"1h" help:"after so long without a heartbeat the worker counts as lost"`
	Drain        time.Duration `env:"WORKER_DRAIN" envDefault:"30s" min:"0s" max:"24h" help:"how long running tasks may take to end after SIGTERM"`
	Retention    time.Duration `env:"TASK_RETENTION" envDefault:"168h" min:"1m" max:"876000h" help:"how long an ended task is kept"`
	AllowPrivate bool          `env:"WEBHOOK_ALLOW_PRIVATE" envDefault:"false" help:"let webhook and bar reach private, loopback and link-local addresses"`
	Shared
}

// LoadAPI reads the API's configuration from the environment. The error lists
// every bad variable, a sentence each, and quotes no value.
func LoadAPI() (API, error) {
	cfg, err := load[API]()
	cfg.putPasswords()
	return cfg, errors.Join(err, cfg.checkTLS())
}

// LoadWorker reads the worker's configuration from the environment. The error
// lists every bad variable, a sentence each, and quotes no value.
func LoadWorker() (Worker, error) {
	cfg, err := load[Worker]()
	cfg.putPasswords()
	return cfg, errors.Join(err, cfg.checkTLS())
}

// LoadDatabase reads how the system of record is reached, for programs that need
// nothing else.
func LoadDatabase() (Database, error) {
	cfg, err := load[Database]()
	cfg.DatabaseURL = withPassword(cfg.DatabaseURL, cfg.DatabasePassword)
	return cfg, err
}

// checkTLS says what is wrong with the names of the two files.
func (s *Shared) checkTLS() error {
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return errors.New("TLS_CERT and TLS_KEY need each other")
	}
	return nil
}

// putPasswords puts the passwords that are given apart into the URLs.
func (s *Shared) putPasswords() {
	s.DatabaseURL = withPassword(s.DatabaseURL, s.DatabasePassword)
	s.RedisURL = withPassword(s.RedisURL, s.RedisPassword)
}

// withPassword puts a password into a URL that has none.
func withPassword(text, password string) string {
	scheme, rest, found := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	user, host := "", rest[:end]
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		user, host = host[:at], host[at+1:]
	}
	if password == "" || !found || strings.Contains(user, ":") {
		return text
	}
	return scheme + "://" + user + url.UserPassword("", password).String() + "@" + host + rest[end:]
}
