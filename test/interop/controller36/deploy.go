package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/juju/charm/v12"
	charmresource "github.com/juju/charm/v12/resource"
	"github.com/juju/juju/charmhub"
	"github.com/juju/juju/charmhub/transport"
	corecharm "github.com/juju/juju/core/charm"
	"github.com/juju/juju/core/charm/downloader"
	"github.com/juju/juju/core/resources"
)

func deploys() {
	for _, c := range expect.Resolve {
		check("resolve "+c.String(), func() error { return resolve(c) })
	}
	for _, c := range expect.Refuse {
		check("refuse "+c.String(), func() error {
			_, _, _, err := repo.ResolveWithPreferredChannel(c.Name, c.origin())
			return refused(err, c.Says...)
		})
	}
	for _, p := range expect.Packages {
		for _, revision := range sorted(p.Archives) {
			content := p.Archives[revision]
			check(fmt.Sprintf("download %s revision %d", p.Name, revision), func() error {
				if p.Type == "bundle" {
					return bundle(p, revision, content)
				}
				return download(p, revision, content)
			})
		}
	}
	for _, p := range expect.Pins {
		check(fmt.Sprintf("deploy %s --resource %s=%d", p.Case, p.Resource, p.Pinned), func() error { return pinned(p) })
	}
}

func (c Case) origin() corecharm.Origin {
	o := corecharm.Origin{Source: corecharm.CharmHub, Type: "charm", Revision: c.Revision}
	o.Platform.Architecture = c.Arch
	if c.Base != "" {
		o.Platform.OS, o.Platform.Channel = "ubuntu", c.Base
	}
	if c.Channel != "" {
		channel, err := charm.ParseChannelNormalize(c.Channel)
		if err != nil {
			panic(err)
		}
		o.Channel = &channel
	}
	return o
}

func (c Case) url() *charm.URL {
	return &charm.URL{Schema: "ch", Name: c.Name, Revision: -1, Architecture: c.Arch}
}

func packageOf(name string) Package {
	for _, p := range expect.Packages {
		if p.Name == name {
			return p
		}
	}
	panic("no package " + name + " is expected")
}

// resolve is a deploy up to the download, in the two ways that the API server knows.
func resolve(c Case) error {
	curl, origin, bases, err := repo.ResolveWithPreferredChannel(c.Name, c.origin())
	if err != nil {
		return err
	}
	p := packageOf(c.Name)
	if err := first(same("revision", curl.Revision, c.Gives.Revision), same("channel", origin.Channel.String(), c.Gives.Channel), same("type", origin.Type, p.Type)); err != nil || p.Type == "bundle" {
		return err
	}
	if len(bases) == 0 {
		return fmt.Errorf("no base to choose from")
	}
	if err := same("base", bases[0].Channel, c.Gives.Base); err != nil {
		return err
	}
	data, err := repo.ResolveForDeploy(corecharm.CharmID{URL: c.url(), Origin: c.origin()})
	if err != nil {
		return err
	}
	meta := data.EssentialMetadata
	if err := first(same("revision for deploy", data.URL.Revision, curl.Revision), same("name in the metadata", meta.Meta.Name, c.Name), agree("for deploy", data.Resources, c.Gives.Resources, c.Revision != nil)); err != nil {
		return err
	}
	many, err := repo.GetEssentialMetadata(corecharm.MetadataRequest{CharmName: c.Name, Origin: c.origin()}, corecharm.MetadataRequest{CharmName: c.Name, Origin: origin})
	if err != nil {
		return err
	}
	for _, one := range many {
		if err := first(same("name in essential metadata", one.Meta.Name, c.Name), same("revision in essential metadata", *one.ResolvedOrigin.Revision, curl.Revision), same("count of options", len(one.Config.Options), len(meta.Config.Options))); err != nil {
			return err
		}
	}
	if c.Revision != nil {
		return nil
	}
	listed, err := repo.ListResources(c.Name, c.origin())
	if err != nil {
		return err
	}
	byName := map[string]charmresource.Resource{}
	for _, r := range listed {
		byName[r.Name] = r
	}
	return agree("listed", byName, c.Gives.Resources, false)
}

// agree compares resources with their revisions; by revision, a hub may name none.
func agree(what string, got map[string]charmresource.Resource, want map[string]int, orNone bool) error {
	if len(got) == 0 && orNone {
		return nil
	}
	if len(got) != len(want) {
		return fmt.Errorf("resources %s are %v, expected %v", what, got, want)
	}
	for name, revision := range want {
		if err := first(same(what+": revision of "+name, got[name].Revision, revision), got[name].Validate()); err != nil {
			return err
		}
	}
	return nil
}

// kept is the controller's store, as far as its downloader looks at it.
type kept struct{ charm downloader.DownloadedCharm }

func (k *kept) PrepareToStoreCharm(string) error { return nil }

func (k *kept) Store(_ string, c downloader.DownloadedCharm) error {
	k.charm = c
	return nil
}

func (k *kept) GetCharmRepository(corecharm.Source) (downloader.CharmRepository, error) {
	return repo, nil
}

// download is the controller's own, which compares the archive's hash with the reply's.
func download(p Package, revision int, content Content) error {
	c := Case{Name: p.Name, Arch: "amd64", Revision: &revision}
	store := &kept{}
	origin, err := downloader.NewDownloader(logger, store, store).DownloadAndStore(c.url(), c.origin(), false)
	if err != nil {
		return err
	}
	return first(same("id", origin.ID, p.ID), same("hash in the reply", origin.Hash, content.SHA256), same("sha-256", store.charm.SHA256, content.SHA256),
		same("size", store.charm.Size, int64(content.Size)), same("name in the archive", store.charm.Charm.Meta().Name, p.Name))
}

func bundle(p Package, revision int, content Content) error {
	c := Case{Name: p.Name, Arch: "amd64", Revision: &revision}
	from, origin, err := repo.GetDownloadURL(c.Name, c.origin())
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "interop-*.bundle")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	archive, err := client.DownloadAndReadBundle(ctx, from, file.Name())
	if err != nil {
		return err
	}
	if len(archive.Data().Applications) == 0 {
		return fmt.Errorf("no applications in the archive")
	}
	bytes, err := os.ReadFile(file.Name())
	return first(err, same("hash in the reply", origin.Hash, content.SHA256), same("sha-256", fmt.Sprintf("%x", sha256.Sum256(bytes)), content.SHA256))
}

// pinned resolves a resource revision that the operator named, then fetches it as a unit does.
func pinned(p Pin) error {
	charmID, revision := packageOf(p.Name).ID, p.Gives.Revision
	for _, id := range []string{"", charmID} {
		origin := p.origin()
		origin.ID, origin.Revision = id, &revision
		wanted := map[string]int{}
		var asked []charmresource.Resource
		for name, at := range p.Gives.Resources {
			wanted[name] = at
			kind, _ := charmresource.ParseType(packageOf(p.Name).Resources[name].Type)
			r := charmresource.Resource{Meta: charmresource.Meta{Name: name, Type: kind}, Origin: charmresource.OriginStore, Revision: -1}
			if name == p.Resource {
				r.Revision, wanted[name] = p.Pinned, p.Pinned
			}
			asked = append(asked, r)
		}
		curl := p.url()
		curl.Revision = revision
		got, err := repo.ResolveResources(asked, corecharm.CharmID{URL: curl, Origin: origin})
		if err != nil {
			return err
		}
		for _, r := range got {
			if err := same("revision of "+r.Name, r.Revision, wanted[r.Name]); err != nil {
				return err
			}
		}
		config, err := charmhub.DownloadOneFromRevision(charmID, revision)
		if id == "" {
			config, err = charmhub.DownloadOneFromRevisionByName(p.Name, revision)
		}
		if err != nil {
			return err
		}
		config, _ = charmhub.AddResource(config, p.Resource, p.Pinned)
		replies, err := client.Refresh(ctx, config)
		if err != nil {
			return err
		}
		times := 0
		for _, r := range replies[0].Entity.Resources {
			if r.Name != p.Resource {
				continue
			}
			times++
			if err := first(same("revision in the reply", r.Revision, p.Pinned), fetch(packageOf(p.Name), r)); err != nil {
				return err
			}
		}
		if err := same("times that "+p.Resource+" is listed", times, 1); err != nil {
			return err
		}
	}
	return nil
}

// fetch downloads a resource and compares it with what the reply said of it and with what was exported.
func fetch(p Package, r transport.ResourceRevision) error {
	from, err := url.Parse(r.Download.URL)
	if err != nil {
		return err
	}
	body, err := client.DownloadResource(ctx, from)
	if err != nil {
		return err
	}
	defer body.Close()
	bytes, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	want := p.Resources[r.Name]
	content := want.Revisions[r.Revision]
	sum := fmt.Sprintf("%x", sha256.Sum256(bytes))
	if err := first(same("type", r.Type, want.Type), same("size", len(bytes), r.Download.Size), same("sha-256", sum, r.Download.HashSHA256), same("sha-384", fmt.Sprintf("%x", sha512.Sum384(bytes)), r.Download.HashSHA384)); err != nil {
		return err
	}
	if want.Type == "file" {
		return first(same("exported size", len(bytes), content.Size), same("exported sha-256", sum, content.SHA256))
	}
	image, err := resources.UnmarshalDockerResource(bytes)
	return first(err, resources.CheckDockerDetails(r.Name, image), same("image", image.RegistryPath, content.Image),
		same("username", image.Username, expect.Registry.Username), same("password", image.Password, expect.Registry.Password))
}
