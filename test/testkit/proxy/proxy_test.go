package proxy_test

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/testkit/proxy"
)

func TestFrames(t *testing.T) {
	sync, err := (&pgproto3.Sync{}).Encode(nil)
	require.NoError(t, err)
	both, err := (&pgproto3.Parse{Name: "s", Query: "SELECT 1"}).Encode(nil)
	require.NoError(t, err)
	both = append(both, sync...)

	in := bufio.NewReader(bytes.NewReader(both))
	kind, first, err := proxy.ReadFrame(in)
	require.NoError(t, err)
	require.Equal(t, byte('P'), kind)
	kind, second, err := proxy.ReadFrame(in)
	require.NoError(t, err)
	require.Equal(t, byte('S'), kind)
	require.Equal(t, both, append(first, second...))

	_, _, err = proxy.ReadFrame(bufio.NewReader(bytes.NewReader([]byte{'Q', 0, 0, 0, 1, 0})))
	require.Error(t, err)
}
