package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the sources must be quiet: an editor saves a file in
// several steps, and a checkout changes many.
const settle = 300 * time.Millisecond

// sourceWatcher tells of changes in the module's sources.
type sourceWatcher struct {
	notify *fsnotify.Watcher
	// changes gets one value for a burst of changes.
	changes chan struct{}
}

// watchSources watches every folder under root that holds sources.
func watchSources(root string) (*sourceWatcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the sources: %w", err)
	}
	w := &sourceWatcher{notify: notify, changes: make(chan struct{}, 1)}
	if err := w.add(root); err != nil {
		w.close()
		return nil, fmt.Errorf("watch the sources: %w", err)
	}
	go w.run()
	return w, nil
}

// add watches dir and every folder under it, but for hidden and built ones.
func (w *sourceWatcher) add(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		name := entry.Name()
		if path != dir && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "runs", "bench", "docs"}, name)) {
			return filepath.SkipDir
		}
		return w.notify.Add(path)
	})
}

func (w *sourceWatcher) run() {
	quiet := time.AfterFunc(settle, func() {
		select {
		case w.changes <- struct{}{}:
		default: // The one before has not been taken yet.
		}
	})
	quiet.Stop()
	for {
		changed := true
		select {
		case event, open := <-w.notify.Events:
			if !open {
				return
			}
			changed = w.concerns(event)
		case <-w.notify.Errors: //nolint:errcheck // Events were lost: what they said is unknown, so build.
		}
		if changed {
			quiet.Reset(settle)
		}
	}
}

// concerns reports whether the event is a change of source. A new folder is
// watched from then on.
func (w *sourceWatcher) concerns(event fsnotify.Event) bool {
	if event.Has(fsnotify.Create) {
		if info, err := os.Stat(event.Name); err == nil && info.IsDir() {
			return w.add(event.Name) == nil
		}
	}
	if event.Op == fsnotify.Chmod || strings.HasSuffix(event.Name, "_test.go") {
		return false
	}
	return slices.Contains([]string{".go", ".lua", ".sql"}, filepath.Ext(event.Name))
}

func (w *sourceWatcher) close() { _ = w.notify.Close() } // It only ever answers nil.
