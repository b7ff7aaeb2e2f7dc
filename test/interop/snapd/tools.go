//go:build tools

package main

// The snap command and snapd itself are built beside this program, with snapd's test keys.
import (
	_ "github.com/snapcore/snapd/cmd/snap"
	_ "github.com/snapcore/snapd/cmd/snapd"
)
