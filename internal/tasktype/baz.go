package tasktype

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// bazMax is the largest number that baz prints.
const bazMax = 343

// newBaz makes the type that prints a random number.
func newBaz(log *slog.Logger) taskType {
	return taskType{
		check: func(json.RawMessage, time.Duration) []Problem { return nil },
		run: func(ctx context.Context, t *task.Task) (json.RawMessage, error) {
			output := fmt.Sprintf("Baz %d", rand.IntN(bazMax+1))
			printOutput(ctx, log, t, output)
			return json.Marshal(map[string]string{"output": output})
		},
	}
}
