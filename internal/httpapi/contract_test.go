package httpapi_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// contract is the OpenAPI document, used as what it claims to be: every answer
// that a test gets has to be one that it describes.
type contract struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

func readContract(tb testing.TB, handler http.Handler) *contract {
	tb.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/openapi.json", http.NoBody))
	require.Equal(tb, 200, recorder.Code)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(recorder.Body.Bytes()))
	require.NoError(tb, err)
	c := &contract{document: document.(map[string]any), compiler: jsonschema.NewCompiler()}
	c.compiler.AssertFormat()
	require.NoError(tb, c.compiler.AddResource("openapi.json", document))
	return c
}

// at walks the document; it is nil where there is nothing.
func (c *contract) at(steps ...string) any {
	var here any = c.document
	for _, step := range steps {
		object, _ := here.(map[string]any)
		here = object[step]
	}
	return here
}

// validate checks a value against the schema at these steps.
func (c *contract) validate(tb testing.TB, value any, steps ...string) {
	tb.Helper()
	escaped := make([]string, len(steps))
	for i, step := range steps {
		escaped[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
	}
	schema, err := c.compiler.Compile("openapi.json#/" + strings.Join(escaped, "/"))
	require.NoError(tb, err)
	require.NoError(tb, schema.Validate(value))
}

// template is the path that the document has for one, or the path itself.
func (c *contract) template(path string) string {
	if c.at("paths", path) != nil {
		return path
	}
	given := strings.Split(path, "/")
	for template := range c.at("paths").(map[string]any) {
		steps := strings.Split(template, "/")
		fits := len(steps) == len(given)
		for i := 0; fits && i < len(steps); i++ {
			fits = steps[i] == given[i] || strings.HasPrefix(steps[i], "{") && given[i] != ""
		}
		if fits {
			return template
		}
	}
	return path
}

func (c *contract) check(tb testing.TB, request *http.Request, a answer) {
	tb.Helper()
	path := request.URL.Path
	if strings.HasPrefix(path, "/task/by-key/") { // a key may have slashes
		path = "/task/by-key/{key}"
	}
	path = c.template(path)
	operation := []string{"paths", path, strings.ToLower(request.Method)}
	if c.at(operation...) == nil {
		require.Contains(tb, []int{404, 405, 429}, a.Code, "an answer where the document knows no operation")
		c.validate(tb, a.body, "components", "schemas", "Problem")
		return
	}
	mediaType, _, _ := strings.Cut(a.Header().Get("Content-Type"), ";")
	content := slices.Concat(operation, []string{"responses", strconv.Itoa(a.Code), "content", mediaType})
	require.NotNil(tb, c.at(content...), "the document does not know status %d with %s", a.Code, mediaType)
	if a.body == nil {
		return
	}
	c.validate(tb, a.body, append(content, "schema")...)
	if code, is := a.body["code"].(string); is {
		require.NotNil(tb, c.at(append(content, "examples", code)...), "the document has no example of %s", code)
	}
}

func TestOpenAPIHoldsTogether(t *testing.T) {
	s := newService(t)
	require.Equal(t, "3.1.0", s.contract.at("openapi"))

	// Every reference leads somewhere, and every schema is one.
	for name := range s.contract.at("components", "schemas").(map[string]any) {
		require.NotEmpty(t, name)
		_, err := s.contract.compiler.Compile("openapi.json#/components/schemas/" + name)
		require.NoError(t, err, name)
	}
	// Every example is valid.
	for path, item := range s.contract.at("paths").(map[string]any) {
		for method := range item.(map[string]any) {
			operation := []string{"paths", path, method}
			require.NotEmpty(t, s.contract.at(append(operation, "operationId")...))
			for status := range s.contract.at(append(operation, "responses")...).(map[string]any) {
				content := slices.Concat(operation, []string{"responses", status, "content", "application/problem+json"})
				examples, _ := s.contract.at(append(content, "examples")...).(map[string]any)
				for code := range examples {
					s.contract.validate(t, s.contract.at(append(content, "examples", code, "value")...), append(content, "schema")...)
				}
			}
		}
	}
	for _, path := range []string{"/task", "/task/batch"} {
		body := []string{"paths", path, "post", "requestBody", "content", "application/json"}
		s.contract.validate(t, s.contract.at(append(body, "example")...), append(body, "schema")...)
	}
	put := []string{"paths", "/type/{name}", "put", "requestBody", "content", "application/json"}
	s.contract.validate(t, s.contract.at(append(put, "example")...), append(put, "schema")...)

	// What the document says may be sent, the decoder reads, and no more.
	documented := []string{"other"}
	for name := range s.contract.at("components", "schemas", "NewTask", "properties").(map[string]any) {
		documented = append(documented, name)
	}
	a := s.do(t, "POST", "/task", `{"`+strings.Join(documented, `":[],"`)+`":[]}`)
	require.ElementsMatch(t, documented, a.fields())
}
