package postgres

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// A payload of 8 KiB or more does not come with the start of its
// task: a start may be of a thousand tasks, and a reply of hundreds of megabytes
// would be given up for late, over and over. It is read afterwards, a few at a
// time, for as long as the session lives.

// payloadPage is how many large payloads one statement reads: of the largest
// they are 4 MiB.
const payloadPage = 16

// notLoaded stands for a large payload. It is no JSON, so no handler takes it
// for one.
var notLoaded = json.RawMessage("not loaded")

func isLoaded(t *task.Task) bool { return string(t.Payload) != string(notLoaded) }

// loadPayloads reads the large payloads of tasks that a session has started. It
// returns those tasks that are still the session's; the others were settled by a
// reaper meanwhile, and must not run.
func (db *DB) loadPayloads(ctx context.Context, session uuid.UUID, started []task.Task) ([]task.Task, error) {
	var large []*task.Task
	for i := range started {
		if !isLoaded(&started[i]) {
			large = append(large, &started[i])
		}
	}
	if len(large) == 0 {
		return started, nil
	}
	for from := 0; from < len(large); from += payloadPage {
		page := large[from:min(from+payloadPage, len(large))]
		err := db.retryRead(ctx, "read payloads", func(ctx context.Context) error {
			return db.readPayloads(ctx, session, page)
		})
		if err != nil {
			return nil, err
		}
	}
	ours := started[:0]
	for i := range started {
		if isLoaded(&started[i]) {
			ours = append(ours, started[i])
		}
	}
	return ours, nil
}

func (db *DB) readPayloads(ctx context.Context, session uuid.UUID, page []*task.Task) error {
	ids := make([]task.ID, len(page))
	byID := make(map[task.ID]*task.Task, len(page))
	for i, t := range page {
		ids[i], byID[t.ID] = t.ID, t
	}
	rows, err := db.pool.Query(ctx, `
		SELECT id, payload FROM tasks_open
		WHERE id = ANY($2) AND worker_id = $1 AND status = 'started_executing'`, session, uuids(ids))
	if err != nil {
		return err
	}
	var id task.ID
	var payload string
	_, err = pgx.ForEachRow(rows, []any{scanUUID(&id), &payload}, func() error {
		byID[id].Payload = json.RawMessage(payload)
		return nil
	})
	return err
}
