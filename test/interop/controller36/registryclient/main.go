// What a bootstrap asks of the registry of a caas-image-repo: the versions of the operator's image, and their architectures.
//
//	registryclient REPOSITORY     as the setting has it; prints {"VERSION": ["ARCHITECTURE"]}
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/juju/juju/docker"
	"github.com/juju/juju/docker/registry"
)

func run(repository string) error {
	details, err := docker.NewImageRepoDetails(repository)
	if err != nil {
		return err
	}
	client, err := registry.New(details)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	tags, err := client.Tags("jujud-operator")
	if err != nil {
		return err
	}
	found := map[string][]string{}
	for _, tag := range tags {
		version := tag.AgentVersion().String()
		if found[version], err = client.GetArchitectures("jujud-operator", version); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}
