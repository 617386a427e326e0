package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
)

var update = flag.Bool("update", false, "write openapi.json from the code")

// The document that people read and generate clients from is the one that is served.
func TestOpenAPIIsCurrent(t *testing.T) {
	const file = "openapi.json"
	var served bytes.Buffer
	require.NoError(t, json.Indent(&served, httpapi.Describe(), "", "  "))
	served.WriteByte('\n')
	if *update {
		require.NoError(t, os.WriteFile(file, served.Bytes(), 0o600))
	}
	committed, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, served.String(), string(committed), "run: go test ./internal/httpapi -run OpenAPIIsCurrent -update")
}
