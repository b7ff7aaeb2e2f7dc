//go:build tools

// An S3 gateway that is built as it is: the contract of a storage is run over it.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
