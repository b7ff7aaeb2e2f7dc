//go:build tools

package main

// The real juju command, of which run.ts builds a part of the providers.
import _ "github.com/juju/juju/cmd/juju"
