// Command api is the HTTP service: it takes tasks over REST, commits them in
// Postgres and indexes them in Redis. Any number of them may run side by side.
package main

import (
	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
)

func main() {
	app.Command[config.API]{
		Name: "api",
		Load: config.LoadAPI,
		Addr: func(cfg config.API) string { return cfg.ListenAddr },
		TLS:  func(cfg config.API) bool { return cfg.TLSCert != "" },
		Run:  app.RunAPI,
		Others: map[string]app.Other{
			"key": {Usage: app.KeyUsage, Do: app.KeyCommand},
		},
	}.Main()
}
