//go:build tools

package main

// The snap command and snapd itself of the newest snapd that is to be had as a Go module, with snapd's test keys. What they are asked is
// the same as of the older ones.
import (
	_ "github.com/snapcore/snapd/cmd/snap"
	_ "github.com/snapcore/snapd/cmd/snapd"
)
