// The real juju info, find and download of 4.1-beta2.
package main

import (
	"os"

	"github.com/juju/juju/cmd/cmd"
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
