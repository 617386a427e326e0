package systems

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// httpConn is one HTTP/1.1 connection that is kept alive. It costs the machine
// that it shares with the server much less than http.Client does: what is
// measured is the server.
type httpConn struct {
	conn     net.Conn
	reader   *bufio.Reader
	host     string
	request  []byte
	deadline time.Time
}

func dialHTTP(ctx context.Context, address string) (*httpConn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the api: %w", err)
	}
	return &httpConn{conn: conn, reader: bufio.NewReader(conn), host: address}, nil
}

// Close closes the connection.
func (c *httpConn) Close() error { return c.conn.Close() }

// do sends one request and returns the status and the body of its answer.
func (c *httpConn) do(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	if deadline, ok := ctx.Deadline(); ok && !deadline.Equal(c.deadline) {
		if err := c.conn.SetDeadline(deadline); err != nil {
			return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		c.deadline = deadline
	}
	c.request = append(c.request[:0], method...)
	c.request = append(c.request, ' ')
	c.request = append(c.request, path...)
	c.request = append(c.request, " HTTP/1.1\r\nHost: "...)
	c.request = append(c.request, c.host...)
	if len(body) > 0 {
		c.request = append(c.request, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		c.request = strconv.AppendInt(c.request, int64(len(body)), 10)
	}
	c.request = append(c.request, "\r\n\r\n"...)
	c.request = append(c.request, body...)
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if status, answer, err = c.readAnswer(); err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return status, answer, nil
}

// readAnswer looks at the status and the length, and at no other header. An
// answer that does not say its length is left to net/http.
func (c *httpConn) readAnswer() (status int, answer []byte, err error) {
	const statusAt, lengthName = len("HTTP/1.1 "), "Content-Length: "
	head, err := c.peekHead()
	if err != nil {
		return 0, nil, err
	}
	_, rest, found := bytes.Cut(head, []byte("\r\n"+lengthName))
	if !found {
		return c.readAny()
	}
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, err := strconv.Atoi(string(digits))
	if err != nil {
		return 0, nil, fmt.Errorf("read the length of an answer: %w", err)
	}
	if status, err = strconv.Atoi(string(head[statusAt : statusAt+3])); err != nil {
		return 0, nil, fmt.Errorf("read the status of an answer: %w", err)
	}
	if _, err := c.reader.Discard(len(head)); err != nil {
		return 0, nil, err
	}
	answer = make([]byte, length)
	_, err = io.ReadFull(c.reader, answer)
	return status, answer, err
}

// peekHead returns an answer up to the end of its headers, unread.
func (c *httpConn) peekHead() ([]byte, error) {
	const end = "\r\n\r\n"
	for n := 1; ; n = c.reader.Buffered() + 1 {
		if _, err := c.reader.Peek(n); err != nil {
			return nil, err
		}
		head, err := c.reader.Peek(c.reader.Buffered())
		if err != nil {
			return nil, err
		}
		if at := bytes.Index(head, []byte(end)); at >= 0 {
			return head[:at+len(end)], nil
		}
	}
}

func (c *httpConn) readAny() (status int, answer []byte, err error) {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, errors.Join(err, response.Body.Close())
}

// want is do for a request that has one good answer.
func (c *httpConn) want(ctx context.Context, status int, method, path string, body []byte) ([]byte, error) {
	got, answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if got != status {
		return nil, fmt.Errorf("%s %s was answered %d: %s", method, path, got, answer[:min(len(answer), 512)])
	}
	return answer, nil
}
