// A stand-in for OpenStack, of the test doubles of the client library that Juju uses: identity, networks, flavors, machines.
// It prints a line of JSON with the URL of its identity service, and one for the machine that it is asked for, which it refuses to make.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/go-goose/goose/v5/identity"
	"github.com/go-goose/goose/v5/nova"
	"github.com/go-goose/goose/v5/testservices/hook"
	"github.com/go-goose/goose/v5/testservices/openstackservice"
)

func main() {
	out := json.NewEncoder(os.Stdout)
	cred := &identity.Credentials{User: "fred", Secrets: "secret", Region: "RegionOne", TenantName: "tenant"}
	cloud, _ := openstackservice.NewNoSwift(cred, identity.AuthUserPass, false)
	cloud.UseNeutronNetworking()
	cloud.Nova.RegisterControlPoint("addServer", func(_ hook.ServiceControl, args ...interface{}) error {
		if server, ok := args[0].(*nova.ServerDetail); ok {
			_ = out.Encode(map[string]string{"machine": server.Name, "image": server.Image.Id})
		}
		return errors.New("this stand-in makes no machines")
	})
	cloud.SetupHTTP(nil)
	_ = out.Encode(map[string]string{"identity": cred.URL})
	_, _ = io.Copy(io.Discard, os.Stdin)
}
