package systems

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// riverHistory is the like of timewheelHistory.
const riverHistory = `
	INSERT INTO river_job (args, kind, max_attempts, state, attempt, attempted_at, created_at, finalized_at, scheduled_at)
	SELECT '` + payload + `', ($2::text[])[1 + i / 4 % 4], 25, state, CASE WHEN ended THEN 1 ELSE 0 END,
	       CASE WHEN ended THEN due END, at, CASE WHEN ended THEN due END, due
	FROM generate_series(1, $1::int) i
	CROSS JOIN LATERAL (SELECT now() - interval '20 hours' + i * interval '18 hours' / $1) AS begin (at)
	CROSS JOIN LATERAL (SELECT (ARRAY['completed', 'discarded', 'cancelled', 'scheduled'])[1 + i % 4]::river_job_state) AS s (state)
	CROSS JOIN LATERAL (SELECT state <> 'scheduled',
	                           CASE state WHEN 'scheduled' THEN at + interval '60 days' ELSE at + interval '1 hour' END) AS run (ended, due)`

// History writes the rows itself, as for timewheel.
func (c *riverClient) History(ctx context.Context, n int) error {
	if _, err := c.pool.Exec(ctx, riverHistory, n, typeNames); err != nil {
		return fmt.Errorf("store a history: %w", err)
	}
	return nil
}

// Queries are the like of the API's, by the library.
func (c *riverClient) Queries(ctx context.Context) ([]Query, error) {
	rows, err := c.pool.Query(ctx, `SELECT id FROM river_job ORDER BY md5(id::text) LIMIT 1000`)
	if err != nil {
		return nil, fmt.Errorf("pick jobs to ask for: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("pick jobs to ask for: %w", err)
	}
	states := []rivertype.JobState{
		rivertype.JobStateCompleted, rivertype.JobStateDiscarded, rivertype.JobStateCancelled, rivertype.JobStateScheduled,
	}
	page := func(filter func(p *river.JobListParams, i int) *river.JobListParams) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			newest := river.NewJobListParams().OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(pageSize)
			result, err := c.client.JobList(ctx, filter(newest, i))
			if err == nil && len(result.Jobs) == 0 {
				err = errNothingFound
			}
			return err
		}
	}
	type params = river.JobListParams
	return []Query{
		{AskAll, page(func(p *params, _ int) *params { return p })},
		{AskStatus, page(func(p *params, i int) *params { return p.States(states[i%4]) })},
		{AskType, page(func(p *params, i int) *params { return p.Kinds(typeNames[i%4]) })},
		{AskBoth, page(func(p *params, i int) *params { return p.States(states[i%4]).Kinds(typeNames[i/4%4]) })},
		{AskOne, func(ctx context.Context, i int) error {
			_, err := c.client.JobGet(ctx, ids[i%len(ids)])
			return err
		}},
	}, nil
}

// Bytes is the size of the one table that grows with the jobs.
func (c *riverClient) Bytes(ctx context.Context) (n float64, err error) {
	if err := c.pool.QueryRow(ctx, `SELECT pg_total_relation_size('river_job')`).Scan(&n); err != nil {
		return 0, fmt.Errorf("ask postgres for the size of the jobs: %w", err)
	}
	return n, nil
}
