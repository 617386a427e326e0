package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Write puts latest.md, latest.json and latest.svg into dir, which it makes if
// it is missing.
func (b *Results) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: for everyone to read.
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	encoded, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	for name, content := range map[string]string{
		"latest.md":   b.Markdown(),
		"latest.json": string(encoded) + "\n",
		"latest.svg":  b.Plot(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil { //nolint:gosec // G306: as above.
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}
