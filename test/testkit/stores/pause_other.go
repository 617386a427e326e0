//go:build !linux

package stores

import "errors"

// Pause is only known on Linux.
func (p *Postgres) Pause() (resume func() error, err error) {
	return nil, errors.New("pause postgres: not known on this system")
}
