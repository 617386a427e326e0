package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Recorder appends to the files of one run. Its methods may be called from
// anywhere; what goes wrong is kept and returned by Close.
type Recorder struct {
	Dir string

	mu    sync.Mutex
	files map[string]*file
	err   error
}

type file struct {
	f *os.File
	w *bufio.Writer
	e *json.Encoder
}

// NewRecorder makes the folder of a run.
func NewRecorder(dir string) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: the verdict is for everybody to read.
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	return &Recorder{Dir: dir, files: map[string]*file{}}, nil
}

// Write appends one line to a file of the run.
func (r *Recorder) Write(name string, line any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = r.write(name, line)
}

func (r *Recorder) write(name string, line any) error {
	out := r.files[name]
	if out == nil {
		f, err := os.Create(filepath.Join(r.Dir, name)) //nolint:gosec // G304: the folder is the run's own.
		if err != nil {
			return fmt.Errorf("open the history: %w", err)
		}
		w := bufio.NewWriterSize(f, 1<<16)
		out = &file{f: f, w: w, e: json.NewEncoder(w)}
		r.files[name] = out
	}
	if err := out.e.Encode(line); err != nil {
		return fmt.Errorf("write history %s: %w", name, err)
	}
	return nil
}

// Event notes what was done, now.
func (r *Recorder) Event(what, to, detail string) {
	r.Write(EventsFile, Event{At: time.Now(), What: what, To: to, Detail: detail})
	r.mu.Lock()
	defer r.mu.Unlock()
	if out := r.files[EventsFile]; out != nil && r.err == nil {
		r.err = out.w.Flush() // whoever watches a run wants to know
	}
}

// Save writes a file that holds one value.
func (r *Recorder) Save(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(r.Dir, name), append(text, '\n'), 0o644) //nolint:gosec // G306: as the folder.
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Close writes what is buffered and returns the first error of any write.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.err
	for _, out := range r.files {
		err = errors.Join(err, out.w.Flush(), out.f.Close())
	}
	r.files = map[string]*file{}
	return err
}

// Read reads all lines of a file of the run in dir. A file that is not there
// has no lines.
func Read[T any](dir, name string) (lines []T, err error) {
	f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // G304: the folder is what the user asked to check.
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	defer f.Close()
	decoder := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
	for {
		var line T
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read line %d of %s: %w", len(lines)+1, name, err)
		}
		lines = append(lines, line)
	}
}
