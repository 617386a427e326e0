package rig

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// Vitals notes what every process holds.
func (r *Rig) Vitals(ctx context.Context, when string) error {
	for _, n := range r.Nodes {
		v, err := n.vitals(ctx)
		if err != nil {
			return fmt.Errorf("read the vitals of %s: %w", n.Name, err)
		}
		v.When = when
		r.Record.Write(history.VitalsFile, v)
	}
	store := history.Vitals{Node: "postgres", When: when}
	err := r.DB.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'timewheel'`).Scan(&store.Connections)
	if err != nil {
		return fmt.Errorf("count the connections to postgres: %w", err)
	}
	r.Record.Write(history.VitalsFile, store)
	return nil
}

func (n *Node) vitals(ctx context.Context) (history.Vitals, error) {
	v := history.Vitals{Node: n.Name, PID: n.PID()}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.PID))
	if err != nil {
		return v, err
	}
	v.Descriptors = len(open)
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", v.PID))
	if err != nil {
		return v, err
	}
	fields := strings.Fields(string(memory))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return v, err
	}
	v.RSS = pages * int64(os.Getpagesize())
	v.Goroutines, err = n.gauge(ctx, "go_goroutines")
	return v, err
}

// gauge reads one value of the node's metrics.
func (n *Node) gauge(ctx context.Context, name string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Addr+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			f, err := strconv.ParseFloat(value, 64)
			return int(f), err
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}
