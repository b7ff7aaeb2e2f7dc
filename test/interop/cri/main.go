// What a kubelet does with a pull secret: CRI PullImage with the login that the secret has for the image's registry.
//
//	cri SOCKET IMAGE [SECRET]     SECRET: a file of a kubernetes.io/dockerconfigjson
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type secret struct {
	Auths map[string]struct{ Username, Password string } `json:"auths"`
}

func login(file, image string) (*cri.AuthConfig, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s secret
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	host, _, _ := strings.Cut(image, "/")
	entry, ok := s.Auths[host]
	if !ok {
		return nil, fmt.Errorf("the secret has no login for %s", host)
	}
	return &cri.AuthConfig{Username: entry.Username, Password: entry.Password}, nil
}

func run(socket, image, file string) error {
	request := &cri.PullImageRequest{Image: &cri.ImageSpec{Image: image}}
	if file != "" {
		auth, err := login(file, image)
		if err != nil {
			return err
		}
		request.Auth = auth
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client := cri.NewImageServiceClient(conn)
	pulled, err := client.PullImage(ctx, request)
	if err != nil {
		return err
	}
	status, err := client.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: pulled.ImageRef}})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"ref": pulled.ImageRef, "digests": status.Image.RepoDigests})
}

func main() {
	file := ""
	if len(os.Args) > 3 {
		file = os.Args[3]
	}
	if err := run(os.Args[1], os.Args[2], file); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}
