package contender

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// httpConn is one HTTP/1.1 connection that is kept alive. It costs the machine
// that it shares with the server much less than http.Client does: what is
// measured is the server.
type httpConn struct {
	conn    net.Conn
	reader  *bufio.Reader
	host    string
	request []byte
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
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.conn.SetDeadline(deadline); err != nil {
			return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
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
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	answer, err = io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return response.StatusCode, answer, nil
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
