package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/juju/charm/v12"
	"github.com/juju/juju/charmhub"
	"github.com/juju/juju/charmhub/transport"
)

func browses() {
	for _, p := range expect.Packages {
		check("info "+p.Name, func() error { return info(p) })
		check("find "+p.Name, func() error {
			got, err := find(p.Name)
			found := got[p.Name]
			return first(err, same("id", found.ID, p.ID), same("type", string(found.Type), p.Type), same("publisher", found.Entity.Publisher["display-name"], p.Publisher))
		})
		for _, name := range sorted(p.Resources) {
			check(fmt.Sprintf("revisions of %s's %s", p.Name, name), func() error { return revisions(p, name) })
		}
	}
	for _, kind := range []string{"charm", "bundle"} {
		check("find --type "+kind, func() error {
			got, err := find("", charmhub.WithFindType(kind))
			for _, p := range expect.Packages {
				_, listed := got[p.Name]
				err = first(err, same("listed: "+p.Name, listed, p.Type == kind))
			}
			return err
		})
	}
	check("find nothing", func() error {
		got, err := find("no-such-thing-anywhere")
		return first(err, same("count", len(got), 0))
	})
	check("info of an unknown name", func() error {
		_, err := client.Info(ctx, "no-such-charm")
		return refused(err, "not found")
	})
	check("revisions of an unknown resource", func() error {
		_, err := client.ListResourceRevisions(ctx, expect.Packages[0].Name, "no-such-resource")
		return refused(err, "not found")
	})
	check("download of an unknown file", func() error {
		from, err := url.Parse(client.URL() + "/api/v1/charms/download/nothing_1.charm")
		if err == nil {
			_, err = client.DownloadResource(ctx, from)
		}
		return refused(err, "archive not found")
	})
}

func info(p Package) error {
	got, err := client.Info(ctx, p.Name)
	if err := first(err, same("id", got.ID, p.ID), same("type", string(got.Type), p.Type), same("publisher", got.Entity.Publisher["display-name"], p.Publisher), same("count of rows", len(got.ChannelMap), len(p.Rows))); err != nil {
		return err
	}
	released := map[Row]bool{}
	for _, row := range p.Rows {
		released[row] = true
	}
	for _, got := range got.ChannelMap {
		row := Row{got.Channel.Track + "/" + got.Channel.Risk, got.Channel.Base.Channel, got.Channel.Base.Architecture, got.Revision.Revision}
		if _, err := time.Parse(time.RFC3339, got.Channel.ReleasedAt); err != nil {
			return err
		}
		if !released[row] {
			return fmt.Errorf("%v is not released", row)
		}
	}
	if p.Type == "bundle" {
		_, err = charm.ReadBundleData(strings.NewReader(got.DefaultRelease.Revision.BundleYAML))
	} else {
		_, err = charm.ReadMeta(strings.NewReader(got.DefaultRelease.Revision.MetadataYAML))
	}
	return first(err, same("first track", got.ChannelMap[0].Channel.Track, p.FirstTrack), same("default track", got.DefaultRelease.Channel.Track, p.FirstTrack))
}

func find(text string, options ...charmhub.FindOption) (map[string]transport.FindResponse, error) {
	got, err := client.Find(ctx, text, options...)
	byName := map[string]transport.FindResponse{}
	for _, r := range got {
		byName[r.Name] = r
	}
	return byName, err
}

// revisions fetches every revision of a resource, as listed: newest first.
func revisions(p Package, name string) error {
	got, err := client.ListResourceRevisions(ctx, p.Name, name)
	if err := first(err, same("count", len(got), len(p.Resources[name].Revisions))); err != nil {
		return err
	}
	for i, r := range got {
		if i > 0 && r.Revision >= got[i-1].Revision {
			return fmt.Errorf("revision %d follows %d", r.Revision, got[i-1].Revision)
		}
		if err := fetch(p, r); err != nil {
			return fmt.Errorf("revision %d: %w", r.Revision, err)
		}
	}
	return nil
}
