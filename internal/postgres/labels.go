package postgres

import (
	"strings"

	"github.com/timewheel/timewheel/internal/task"
)

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// labelsText is the text of an array of labels, or nil: an array of arrays cannot be of
// different lengths.
func labelsText(labels task.Labels) *string {
	if labels == nil {
		return nil
	}
	var text strings.Builder
	for i, label := range labels {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('"')
		_, _ = labelEscapes.WriteString(&text, label) // a builder never fails
		text.WriteByte('"')
	}
	array := "{" + text.String() + "}"
	return &array
}

// notedBy notes the labels of what a part of the same statement has created, and returns.
func notedBy(part string) string {
	return `, noted AS (
		INSERT INTO task_labels (label, id)
		SELECT label, ` + part + `.id FROM ` + part + ` CROSS JOIN unnest(` + part + `.labels) AS label ON CONFLICT DO NOTHING
	)`
}
