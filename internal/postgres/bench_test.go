package postgres_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
)

// What a task costs by the number of its labels, in batches of 500: µs of CPU that the server takes
// for each statement, if it runs on this machine.
func BenchmarkLife(b *testing.B) {
	const batch = 500
	for _, n := range []int{0, 5} {
		b.Run(fmt.Sprintf("labels=%d", n), func(b *testing.B) {
			db := benchDB(b)
			session := draft().ID
			require.NoError(b, db.Register(b.Context(), session, "host", lease))
			var backend int
			require.NoError(b, db.Pool().QueryRow(b.Context(), `SELECT pg_backend_pid()`).Scan(&backend))
			var took [3]time.Duration
			made := 0
			for seq := int64(1); b.Loop(); seq++ {
				all := drafts(batch)
				ends := make([]task.Finish, batch)
				ids := make([]task.ID, batch)
				for i := range all {
					made++
					var labels []string
					for k := range n {
						labels = append(labels, fmt.Sprintf("key%d:%d", k, made%(1+k*1000)))
					}
					all[i].Labels = task.LabelsOf(labels)
					ids[i], ends[i] = all[i].ID, task.Finish{ID: all[i].ID, Attempt: 1}
				}
				t0 := onCPU(b, backend)
				for _, answer := range db.Create(b.Context(), all) {
					require.NoError(b, answer.Err)
				}
				t1 := onCPU(b, backend)
				started, _, err := db.Start(b.Context(), session, seq, everyType, ids)
				require.NoError(b, err)
				require.Len(b, started, batch)
				t2 := onCPU(b, backend)
				_, err = db.Finish(b.Context(), session, ends, task.Closed{Once: []int64{seq}}, true)
				require.NoError(b, err)
				for i, d := range []time.Duration{t1 - t0, t2 - t1, onCPU(b, backend) - t2} {
					took[i] += d
				}
			}
			for i, name := range []string{"create", "start", "end"} {
				b.ReportMetric(float64(took[i].Microseconds())/float64(made), name+"-µs/task")
			}
		})
	}
}

// onCPU is how long a process has run on a CPU, as Linux counts it.
func onCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		b.Skip("the server does not run on this machine")
	}
	ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	require.NoError(b, err)
	return time.Duration(ns)
}

func benchDB(b *testing.B) *postgres.DB {
	b.Helper()
	db, err := postgres.Open(b.Context(), postgres.Options{URL: testkit.Postgres(b), Work: 1}, (&fixture{log: &logbook{}}).slog())
	require.NoError(b, err)
	b.Cleanup(db.Close)
	return db
}
