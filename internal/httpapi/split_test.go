package httpapi_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
)

// FuzzSplit checks what is found in objects and arrays against package json.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[ ]`, `{"a":1,"b" : [ 1 , {"x":"]}"} ] , "c":null }`, `["\\",-1.5e+3,true,{"a":{}},"\"",[[]]]`,
		`{"\u0061\n":"\u0062","":{},"a":2}`, "[\t1\r\n,\t\"\\\\\"\n]", `{"a":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		body = bytes.TrimLeft(body, " \t\r\n")
		if !json.Valid(body) || !utf8.Valid(body) {
			return
		}
		switch body[0] {
		case '{':
			var want map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(body, &want))
			got := map[string]json.RawMessage{}
			for name, value := range httpapi.Members(body) {
				require.True(t, json.Valid(value))
				got[string(name)] = value
			}
			require.Equal(t, want, got)
		case '[':
			var want []json.RawMessage
			require.NoError(t, json.Unmarshal(body, &want))
			got := []json.RawMessage{}
			for value := range httpapi.Elements(body) {
				got = append(got, value)
			}
			require.Equal(t, want, got)
		}
	})
}
