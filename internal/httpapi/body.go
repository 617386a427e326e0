package httpapi

import (
	"errors"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

const (
	// maxBodyBytes bounds the bodies of all requests in work at once, in bytes: what
	// they become on their way to the store is a few times as much.
	maxBodyBytes = 32 << 20
	// firstBytes is how much of a body is read before it is counted, and the least
	// that its room grows by.
	firstBytes = 2 << 10
)

// mediaType is what a body must be, and the answer to any other.
type mediaType struct {
	name  string
	other *problem
}

var (
	plainJSON = mediaType{"application/json", errMediaType}
	patchJSON = mediaType{mergePatchType, errPatchMediaType}
)

var errBrokeOff = malformed("The body broke off or did not arrive in time.")

// withBody makes a gin handler of one that takes the whole body, of this type and of at most
// limit bytes; tooLarge is the answer to one that is larger. The bytes count against
// maxBodyBytes as they arrive, and until the request is answered.
func (a *api) withBody(kind mediaType, limit int64, tooLarge *problem, do func(*gin.Context, []byte) error) gin.HandlerFunc {
	return a.answer(func(c *gin.Context) error {
		if !isMediaType(c.Request.Header, kind.name) {
			return kind.other
		}
		if c.Request.ContentLength > limit {
			return tooLarge
		}
		body := intake{bytes: a.bodyBytes}
		defer body.release()
		err := body.read(http.MaxBytesReader(c.Writer, c.Request.Body, limit), c.Request.ContentLength)
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return tooLarge
		}
		if err != nil {
			return err
		}
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		default:
			return errOverloaded
		}
		return do(c, body.whole)
	})
}

// withoutBody refuses a request that has a body, of which nothing would be done.
func (a *api) withoutBody(c *gin.Context) {
	if c.Request.ContentLength == 0 {
		return
	}
	if n, err := io.ReadFull(c.Request.Body, make([]byte, 1)); n > 0 {
		a.writeProblem(c, invalidFields(FieldError{"body", "must be empty"}))
		c.Abort()
	} else if !errors.Is(err, io.EOF) {
		a.writeProblem(c, errBrokeOff)
		c.Abort()
	}
}

// intake is a body that is being read, and the room that it holds.
type intake struct {
	bytes interface {
		TryAcquire(n int64) bool
		Release(n int64)
	}
	whole []byte
	held  int64
}

// read reads all of a body whose length was announced, or is negative. Room is
// taken for what has arrived and as much again, at most: an announced body holds
// none.
func (b *intake) read(from io.Reader, length int64) error {
	first := int64(firstBytes) // not counted
	if length >= 0 {
		first = min(first, length)
	}
	b.whole = make([]byte, 0, first)
	for int64(len(b.whole)) != length {
		if len(b.whole) == cap(b.whole) {
			if err := b.grow(length); err != nil {
				return err
			}
		}
		n, err := from.Read(b.whole[len(b.whole):cap(b.whole)])
		b.whole = b.whole[:len(b.whole)+n]
		switch {
		case errors.Is(err, io.EOF) && (length < 0 || int64(len(b.whole)) == length):
			return nil
		case err != nil:
			if _, over := errors.AsType[*http.MaxBytesError](err); over {
				return err
			}
			return errBrokeOff
		}
	}
	return nil
}

// grow doubles the room, but takes no more than was announced.
func (b *intake) grow(length int64) error {
	size := max(2*int64(cap(b.whole)), firstBytes)
	if length >= 0 {
		size = min(size, length)
	}
	if !b.bytes.TryAcquire(size - b.held) {
		return errOverloaded
	}
	b.held = size
	b.whole = append(make([]byte, 0, size), b.whole...)
	return nil
}

func (b *intake) release() { b.bytes.Release(b.held) }
