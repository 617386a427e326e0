package main

import (
	"net/http"

	"github.com/spf13/cobra"
)

func (c *cli) taskType() *cobra.Command {
	const what = "the name of a type"
	list := c.listed("List the task types", "type", "types",
		columns("NAME=name HANDLER=handler PAUSED=paused TIMEOUT=timeout ATTEMPTS=max_attempts RUNNING=max_running RATE=rate.per_second"))
	list.Example = "timewheel type list"
	get := c.named(named{use: "get", short: "Look at a task type", method: http.MethodGet, collection: "type", what: what, complete: c.typeNames})
	get.Example = "timewheel type get foo -o json"
	put := c.put("Declare a task type, or replace it", "type", what, c.typeNames)
	put.Example = `timewheel type put invoice --from '{"handler": "webhook", "webhook": {"url": "https://billing.example/hooks"}}'`
	remove := c.named(named{
		use: "delete", short: "Delete a task type of which no task is open", method: http.MethodDelete, collection: "type", what: what,
		done: "deleted", complete: c.typeNames,
	})
	remove.Example = "timewheel type delete invoice"
	pause := c.pause("pause", "Start no task of a type any more", "type", what, true, c.typeNames)
	pause.Example = "timewheel type pause invoice"
	resume := c.pause("resume", "Start tasks of a paused type again", "type", what, false, c.typeNames)
	resume.Example = "timewheel type resume invoice"
	return group("type", "Declare task types, look at them, pause them", list, get, put, remove, pause, resume)
}
