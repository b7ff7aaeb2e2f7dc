//go:build tools

package tools

// Programs that are built as they are: the conformance program of the distribution specification, and crane.
import (
	_ "github.com/google/go-containerregistry/cmd/crane"
	_ "github.com/opencontainers/distribution-spec/conformance"
)
