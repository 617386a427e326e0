// Command worker is a worker node: it executes tasks when they are due, and keeps the
// due index in Redis true. Any number of them may run side by side.
package main

import (
	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
)

func main() {
	app.Command[config.Worker]{
		Name: "worker",
		Load: config.LoadWorker,
		Addr: func(cfg config.Worker) string { return cfg.ListenAddr },
		TLS:  func(cfg config.Worker) bool { return cfg.TLSCert != "" },
		Run:  app.Worker{}.Run,
	}.Main()
}
