//go:build unix && !linux

package process

import "syscall"

// setDeathSignal does nothing: only Linux tells a child that its parent died.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
