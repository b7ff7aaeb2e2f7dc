// What a bootstrap of 4.1-beta2 asks of agent-metadata-url and image-metadata-url, and what a controller does with an agent:
// FindTools, FindToolsForCloud, the file and its sum, imagemetadata.Fetch. The filter and the list are of an internal package of Juju, whose
// types are taken from the functions that have them.
//
//	streams URL VERSION REGION ENDPOINT RELEASE     prints one line of JSON
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"

	"github.com/juju/juju/core/semversion"
	"github.com/juju/juju/environs"
	"github.com/juju/juju/environs/config"
	"github.com/juju/juju/environs/imagemetadata"
	"github.com/juju/juju/environs/simplestreams"
	envtools "github.com/juju/juju/environs/tools"
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

// find calls a function of Juju whose last parameter is a filter, and fetches the agents that it finds.
func find(function interface{}, filter map[string]interface{}, args ...interface{}) ([]agent, error) {
	f := reflect.ValueOf(function)
	last := reflect.New(f.Type().In(f.Type().NumIn() - 1)).Elem()
	for name, value := range filter {
		last.FieldByName(name).Set(reflect.ValueOf(value))
	}
	values := []reflect.Value{}
	for _, arg := range args {
		values = append(values, reflect.ValueOf(arg))
	}
	results := f.Call(append(values, last))
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	agents := []agent{}
	for i := 0; i < results[0].Len(); i++ {
		found := results[0].Index(i).Elem()
		text := func(name string) string { return fmt.Sprint(found.FieldByName(name).Interface()) }
		a := agent{Version: text("Version"), URL: text("URL"), SHA256: text("SHA256")}
		reply, err := http.Get(a.URL)
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		size, err := io.Copy(sum, reply.Body)
		if err = errors.Join(err, reply.Body.Close()); err != nil {
			return nil, err
		}
		a.Same = reply.StatusCode == 200 && fmt.Sprint(size) == text("Size") && fmt.Sprintf("%x", sum.Sum(nil)) == a.SHA256
		agents = append(agents, a)
	}
	return agents, nil
}

func run(url, wanted, region, endpoint, release string) (r result, err error) {
	ctx := context.Background()
	number, err := semversion.Parse(wanted)
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
	r.Found, err = find(envtools.FindTools, map[string]interface{}{"Arch": "amd64", "OSType": "ubuntu"}, ctx, ss, env, number.Major, number.Minor, streams)
	if err != nil {
		return r, fmt.Errorf("FindTools: %v", err)
	}
	sources, err := envtools.GetMetadataSources(env, ss)
	if err != nil {
		return r, err
	}
	r.Cloud, err = find(envtools.FindToolsForCloud, map[string]interface{}{"Number": number}, ctx, ss, sources, simplestreams.CloudSpec{}, streams, number.Major, number.Minor)
	if err != nil {
		return r, fmt.Errorf("FindToolsForCloud: %v", err)
	}
	imageSources, err := environs.ImageMetadataSources(env, ss)
	if err != nil {
		return r, err
	}
	spec := simplestreams.CloudSpec{Region: region, Endpoint: endpoint}
	constraint, err := imagemetadata.NewImageConstraint(simplestreams.LookupParams{CloudSpec: spec, Releases: []string{release}, Arches: []string{"amd64"}}, nil)
	if err != nil {
		return r, err
	}
	images, _, err := imagemetadata.Fetch(ctx, ss, imageSources[:1], constraint)
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
