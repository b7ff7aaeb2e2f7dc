// The real juju info, find and download of 2.9.42.
package main

import (
	"os"

	"github.com/juju/cmd/v3"
	"github.com/juju/juju/cmd/juju/charmhub"
)

func main() {
	ctx, err := cmd.DefaultContext()
	if err != nil {
		panic(err)
	}
	juju := cmd.NewSuperCommand(cmd.SuperCommandParams{Name: "juju"})
	juju.Register(charmhub.NewInfoCommand())
	juju.Register(charmhub.NewFindCommand())
	juju.Register(charmhub.NewDownloadCommand())
	os.Exit(cmd.Main(juju, ctx, os.Args[1:]))
}
