// What a bootstrap of 2.9.42 asks of agent-metadata-url and image-metadata-url, and what a controller does with an agent:
// FindTools, FindToolsForCloud, the file and its sum, imagemetadata.Fetch.
//
//	streams URL VERSION REGION ENDPOINT RELEASE     prints one line of JSON
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/juju/version/v2"

	"github.com/juju/juju/environs"
	"github.com/juju/juju/environs/config"
	"github.com/juju/juju/environs/imagemetadata"
	"github.com/juju/juju/environs/simplestreams"
	envtools "github.com/juju/juju/environs/tools"
	coretools "github.com/juju/juju/tools"
)

type environ struct {
	environs.BootstrapEnviron
	cfg *config.Config
}

func (e environ) Config() *config.Config { return e.cfg }

type agent struct {
	Version, URL, SHA256 string
	// Same: whether the bytes behind the URL are what the streams say.
	Same bool
}

type result struct {
	Found, Cloud []agent
	Images       []string
}

func fetch(t *coretools.Tools) (agent, error) {
	a := agent{Version: t.Version.String(), URL: t.URL, SHA256: t.SHA256}
	reply, err := http.Get(t.URL)
	if err != nil {
		return a, err
	}
	defer func() { _ = reply.Body.Close() }()
	sum := sha256.New()
	size, err := io.Copy(sum, reply.Body)
	a.Same = reply.StatusCode == 200 && size == t.Size && fmt.Sprintf("%x", sum.Sum(nil)) == t.SHA256
	return a, err
}

func fetchAll(list coretools.List) (agents []agent, err error) {
	for _, t := range list {
		a, err := fetch(t)
		if err != nil {
			return nil, err
		}
		agents = append(agents, a)
	}
	return agents, nil
}

func run(url, wanted, region, endpoint, release string) (r result, err error) {
	number, err := version.Parse(wanted)
	if err != nil {
		return r, err
	}
	cfg, err := config.New(config.UseDefaults, map[string]interface{}{
		"name": "m", "type": "manual", "uuid": "11111111-1111-4111-8111-111111111111",
		"agent-metadata-url": url + "/juju/tools", "image-metadata-url": url + "/juju/images",
	})
	if err != nil {
		return r, err
	}
	env := environ{cfg: cfg}
	ss := simplestreams.NewSimpleStreams(simplestreams.DefaultDataSourceFactory())
	streams := envtools.PreferredStreams(&number, false, cfg.AgentStream())
	list, err := envtools.FindTools(ss, env, number.Major, number.Minor, streams, coretools.Filter{Arch: "amd64", OSType: "ubuntu"})
	if err != nil {
		return r, fmt.Errorf("FindTools: %v", err)
	}
	if r.Found, err = fetchAll(list); err != nil {
		return r, err
	}
	sources, err := envtools.GetMetadataSources(env, ss)
	if err != nil {
		return r, err
	}
	spec := simplestreams.CloudSpec{Region: region, Endpoint: endpoint}
	list, err = envtools.FindToolsForCloud(ss, sources, simplestreams.CloudSpec{}, streams, number.Major, number.Minor, coretools.Filter{Number: number})
	if err != nil {
		return r, fmt.Errorf("FindToolsForCloud: %v", err)
	}
	if r.Cloud, err = fetchAll(list); err != nil {
		return r, err
	}
	imageSources, err := environs.ImageMetadataSources(env, ss)
	if err != nil {
		return r, err
	}
	constraint, err := imagemetadata.NewImageConstraint(simplestreams.LookupParams{CloudSpec: spec, Releases: []string{release}, Arches: []string{"amd64"}})
	if err != nil {
		return r, err
	}
	images, _, err := imagemetadata.Fetch(ss, imageSources[:1], constraint)
	if err != nil {
		return r, fmt.Errorf("imagemetadata.Fetch: %v", err)
	}
	for _, image := range images {
		r.Images = append(r.Images, fmt.Sprintf("%s %s %s %s", image.Id, image.RegionName, image.Arch, image.VirtType))
	}
	return r, nil
}

func main() {
	r, err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}
