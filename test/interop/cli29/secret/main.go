// The pull secret that Juju makes for the containers of a charm, of the resource blob on standard input.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/juju/juju/caas/kubernetes/provider/utils"
	"github.com/juju/juju/core/resources"
)

func run() error {
	blob, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	image, err := resources.UnmarshalDockerResource(blob)
	if err != nil {
		return err
	}
	if err := resources.CheckDockerDetails("image", image); err != nil {
		return err
	}
	secret, err := utils.CreateDockerConfigJSON(image.Username, image.Password, image.RegistryPath)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"image": image.RegistryPath, "secret": json.RawMessage(secret)})
}

func main() {
	if err := run(); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}
