package schema_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/schema"
)

func compile(t *testing.T, text string) *schema.Schema {
	t.Helper()
	s, fault := schema.Compile(json.RawMessage(text))
	require.Nil(t, fault, text)
	return s
}

func TestPayloadsAreCheckedWithThePlaceOfEachFault(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["invoice"],
		"properties": {"invoice": {"type": "integer", "minimum": 1}, "items": {"type": "array", "maxItems": 3, "items": {
			"type": "object", "properties": {"price": {"type": "number", "multipleOf": 0.01}, "kind": {"enum": ["a", "b"]}},
			"additionalProperties": false}}, "tree": {"$ref": "#/$defs/tree"}, "name": {"pattern": "^[a-z]+$"}},
		"$defs": {"tree": {"properties": {"left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}, "v": {"const": 1}}}}}`)
	for payload, want := range map[string][]schema.Fault{
		`{"invoice": 12345678901234567890}`:                       nil,
		`{"invoice": 1, "items": [{"price": 0.07, "kind": "a"}]}`: nil,
		``:                                 {{"", "must be object, not null"}},
		`{}`:                               {{"", "lacks invoice"}},
		`{"invoice": "secret"}`:            {{".invoice", "must be integer, not string"}},
		`{"invoice": 0}`:                   {{".invoice", "does not fit minimum of the schema"}},
		`{"invoice": 1, "name": "Secret"}`: {{".name", "does not fit pattern of the schema"}},
		`{"invoice": 1, "items": [{}, {"price": 0.001}]}`:       {{".items[1].price", "does not fit multipleOf of the schema"}},
		`{"invoice": 1, "items": [{"secret": 1}]}`:              {{".items[0]", "has a member that is not allowed"}},
		`{"invoice": 1, "items": [{"kind": "secret"}]}`:         {{".items[0].kind", "does not fit enum of the schema"}},
		`{"invoice": 1, "tree": {"left": {"right": {"v": 2}}}}`: {{".tree.left.right.v", "does not fit const of the schema"}},
		`{"invoice": 1, "invoice": "x"}`:                        {{".invoice", "must be integer, not string"}},
	} {
		var raw json.RawMessage
		if payload != "" {
			raw = json.RawMessage(payload)
		}
		require.Equal(t, want, s.Validate(raw), payload)
	}
	require.Empty(t, compile(t, `true`).Validate(nil))
	require.Len(t, compile(t, `false`).Validate(nil), 1)
	many := compile(t, `{"items": {"type": "string"}}`)
	require.Len(t, many.Validate(json.RawMessage("[1"+strings.Repeat(",1", 999)+"]")), 20)
}

// Nothing is read from anywhere, and what refers to itself without an end is refused.
func TestWhatIsNoSchemaOfItsOwnIsRefused(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		if _, err := listener.Accept(); err == nil {
			t.Error("the schema reached a server")
		}
	})
	at := "http://" + listener.Addr().String() + "/x"
	for text, want := range map[string]schema.Fault{
		`[]`:                {"", "must be an object"},
		`{"type": "thing"}`: {"/type", "does not fit"},
		`{"minimum": "1"}`:  {"/minimum", "must be number, not string"},
		`{"properties": {"a": {"pattern": "(?!a)b"}}}`: {"/properties/a/pattern", "format"},
		`{"pattern": "a{1000}{1000}"}`:                 {"/pattern", "format"},
		`{"$ref": "#"}`:                                {"", "without an end"},
		`{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"allOf": [{"$ref": "#/$defs/y"}]}, "y": {"allOf": [{"$ref": "#/$defs/x"}]}}}`: {"", "without an end"},
		`{"not": {"$dynamicRef": "#a"}, "$dynamicAnchor": "a"}`:  {"/not/$dynamicRef", "not supported"},
		`{"$ref": "#/$defs/none"}`:                               {"", "cannot be used"},
		`{"$ref": "` + at + `"}`:                                 {"/$ref", "another document"},
		`{"items": [{"$ref": "other.json"}]}`:                    {"/items/0/$ref", "another document"},
		`{"$ref": "file:///etc/passwd"}`:                         {"/$ref", "another document"},
		`{"$id": "` + at + `"}`:                                  {"/$id", "not supported"},
		`{"$schema": "` + at + `"}`:                              {"/$schema", "2020-12"},
		`{"$schema": "http://json-schema.org/draft-07/schema#"}`: {"/$schema", "2020-12"},
	} {
		_, fault := schema.Compile(json.RawMessage(text))
		require.NotNil(t, fault, text)
		require.Equal(t, want.Place, fault.Place, text)
		require.Contains(t, fault.Message, want.Message, text)
	}
	require.NoError(t, listener.Close())
	accepting.Wait()
}

// What blows up is given up, and the next payload is checked as ever.
func TestTheCostOfACheckIsBounded(t *testing.T) {
	t.Parallel()
	var doubling strings.Builder
	doubling.WriteString(`{"$ref": "#/$defs/n40", "$defs": {"n0": {"type": "string"}`)
	for i := 1; i <= 40; i++ {
		fmt.Fprintf(&doubling, `, "n%d": {"allOf": [{"$ref": "#/$defs/n%d"}, {"$ref": "#/$defs/n%d"}]}`, i, i-1, i-1)
	}
	doubling.WriteString(`}}`)
	deep := json.RawMessage(strings.Repeat("[", 60) + strings.Repeat("]", 60))
	for text, payload := range map[string]json.RawMessage{
		doubling.String(): json.RawMessage(`"x"`),
		`{"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}`: deep,
	} {
		s := compile(t, text)
		for range 2 {
			faults := s.Validate(payload)
			require.Len(t, faults, 1)
			require.Contains(t, faults[0].Message, "too long")
		}
	}
	pattern := compile(t, `{"pattern": "^(a+)+$"}`)
	long := strings.Repeat("a", 100_000)
	require.Empty(t, pattern.Validate(json.RawMessage(`"`+long+`"`)))
	require.Len(t, pattern.Validate(json.RawMessage(`"`+long+`b"`)), 1)
}

func TestChecksAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"items": {"type": "integer"}}`)
	var checking sync.WaitGroup
	for range 8 {
		checking.Go(func() {
			for range 200 {
				if len(s.Validate(json.RawMessage(`[1, 2, "x"]`))) != 1 || len(s.Validate(json.RawMessage(`[1]`))) != 0 {
					t.Error("a check went wrong")
				}
			}
		})
	}
	checking.Wait()
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"anyOf":[{"type":"null"},{"items":{"$ref":"#"}}]}}}`), []byte(`{"a":[null]}`))
	f.Add([]byte(`{"uniqueItems":true,"contains":{"const":1},"prefixItems":[true,false]}`), []byte(`[1,2]`))
	f.Fuzz(func(t *testing.T, text, payload []byte) {
		s, fault := schema.Compile(text)
		if fault != nil {
			require.NotEmpty(t, fault.Message)
			return
		}
		for _, fault := range s.Validate(payload) {
			require.NotEmpty(t, fault.Message)
		}
	})
}
