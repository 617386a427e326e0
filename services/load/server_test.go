package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"github.com/timewheel/timewheel/client"
)

// flaw is what the miniature does wrong with one task.
type flaw int

const (
	flawless flaw = iota
	startsEarly
	startsTwice
	forgets       // acknowledged, then 404
	never         // stays submitted
	failsIt       // ends failed, which breaks no promise
	isBusy        // answers 429 to the first try
	losesReply    // creates the task, and answers the first try with 503
	refuses       // answers 422
	callsTwice    // a webhook that arrives twice
	callsNever    // a webhook that is done without a call
	ignoresDelete // a webhook that is called, and said to be deleted
	movesIt       // due at another time than asked
)

// scheduler implements the REST contract in miniature. Tasks "run" by being
// looked at after their time; webhooks are called when they are created.
type scheduler struct {
	t     *testing.T
	flaws map[int]flaw // by the number of the create

	// onList, if not nil, is called whenever the tasks are looked at.
	onList func()

	mu    sync.Mutex
	keys  []string
	tasks []*entry
}

type entry struct {
	client.Task
	key     string
	at      time.Time
	flaw    flaw
	webhook bool
}

func newScheduler(t *testing.T, flaws map[int]flaw) (*scheduler, string) {
	t.Helper()
	s := &scheduler{t: t, flaws: flaws}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /task", s.create)
	mux.HandleFunc("GET /task", s.list)
	mux.HandleFunc("GET /task/{id}", s.get)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *scheduler) create(out http.ResponseWriter, request *http.Request) {
	var body struct {
		Type    string    `json:"task_type"`
		At      time.Time `json:"execution_time"`
		Payload struct {
			URL string `json:"url"`
		} `json:"payload"`
	}
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		problem(out, http.StatusBadRequest, "malformed_json")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := request.Header.Get("Idempotency-Key")
	first := !slices.Contains(s.keys, key)
	if first {
		s.keys = append(s.keys, key)
	}
	f := s.flaws[slices.Index(s.keys, key)]
	switch {
	case f == refuses:
		problem(out, http.StatusUnprocessableEntity, "invalid")
		return
	case f == isBusy && first:
		out.Header().Set("Retry-After", "0")
		problem(out, http.StatusTooManyRequests, "overloaded")
		return
	}
	made := slices.IndexFunc(s.tasks, func(e *entry) bool { return e.key == key })
	if made < 0 {
		id, err := uuid.NewV7()
		if err != nil {
			problem(out, http.StatusInternalServerError, "internal")
			return
		}
		e := &entry{key: key, at: body.At, flaw: f, webhook: body.Payload.URL != ""}
		e.Task = client.Task{ID: id, Type: body.Type, Status: client.Submitted, ExecutionTime: body.At, CreatedAt: time.Now()}
		if f == movesIt {
			e.ExecutionTime = e.at.Add(time.Microsecond)
		}
		if e.webhook {
			s.call(e, body.Payload.URL)
		}
		made = len(s.tasks)
		s.tasks = append(s.tasks, e)
	}
	if f == losesReply && first {
		out.Header().Set("Retry-After", "0")
		problem(out, http.StatusServiceUnavailable, "outcome_unknown")
		return
	}
	out.WriteHeader(http.StatusCreated)
	s.answer(out, map[string]uuid.UUID{"task_id": s.tasks[made].ID})
}

// call runs a webhook as a worker would.
func (s *scheduler) call(e *entry, target string) {
	calls := map[flaw]int{callsTwice: 2, callsNever: 0, flawless: 1, ignoresDelete: 1}[e.flaw]
	for range calls {
		request, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(nil))
		if err != nil {
			s.t.Error(err)
			return
		}
		request.Header.Set("X-Task-Id", e.ID.String())
		request.Header.Set("X-Task-Attempt", "1")
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			s.t.Error(err)
			return
		}
		_ = response.Body.Close()
	}
	e.Attempt, e.Status = 1, client.Done
	if e.flaw == ignoresDelete {
		e.Status = client.Deleted
	}
}

// turn brings a task to where it should be by now.
func (e *entry) turn() {
	start := e.at
	if start.Before(e.CreatedAt) {
		start = e.CreatedAt
	}
	if e.flaw == startsEarly {
		start = e.at.Add(-50 * time.Millisecond)
	}
	if e.webhook || e.flaw == never || time.Now().Before(start) {
		return
	}
	e.StartedAt, e.FinishedAt, e.Attempt, e.Status = &start, &start, 1, client.Done
	if e.flaw == startsTwice {
		e.Attempt = 2
	}
	if e.flaw == failsIt {
		e.Status = "failed"
		e.Failure = &client.Failure{Code: "worker_lost"}
	}
}

// list answers with small pages, so that a few tasks need several.
func (s *scheduler) list(out http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onList != nil {
		s.onList()
	}
	query := request.URL.Query()
	assert.Equal(s.t, strconv.Itoa(pageSize), query.Get("limit"))
	tasks := slices.Clone(s.tasks)
	slices.SortFunc(tasks, func(a, b *entry) int { return compare(b.ID, a.ID) })
	page := []*entry{}
	var next *string
	for _, e := range tasks {
		if e.flaw == forgets {
			continue
		}
		if cursor := query.Get("cursor"); cursor != "" && e.ID.String() >= cursor {
			continue
		}
		if len(page) == 7 {
			cursor := page[6].ID.String()
			next = &cursor
			break
		}
		e.turn()
		page = append(page, e)
	}
	s.answer(out, struct {
		Tasks []*entry `json:"tasks"`
		Next  *string  `json:"next_cursor"`
	}{page, next})
}

func (s *scheduler) get(out http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.tasks {
		if e.ID.String() == request.PathValue("id") && e.flaw != forgets {
			e.turn()
			s.answer(out, e)
			return
		}
	}
	problem(out, http.StatusNotFound, "not_found")
}

func (s *scheduler) answer(out io.Writer, body any) {
	assert.NoError(s.t, json.NewEncoder(out).Encode(body))
}

func problem(out http.ResponseWriter, status int, code string) {
	out.Header().Set("Content-Type", "application/problem+json")
	out.WriteHeader(status)
	_, _ = fmt.Fprintf(out, `{"status":%d,"code":%q}`, status, code)
}
