package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/snapcore/snapd/release"
	"github.com/snapcore/snapd/snap"
	"github.com/snapcore/snapd/store"
)

// maps: what `snap info` shows of a snap on an architecture; the first row is the snap itself
var maps = []struct {
	name, arch string
	tracks     string
	rows       []string
}{
	{"hello", "amd64", "latest 3.0 2.0", []string{"latest/stable 5", "latest/edge 6", "2.0/stable 7", "3.0/stable 10", "3.0/edge 11"}},
	{"hello", "arm64", "latest", []string{"latest/stable 8"}},
	{"all1", "riscv64", "latest", []string{"latest/stable 3", "latest/beta 4"}},
	{"tracked", "amd64", "3 latest", []string{"3/stable 2", "3/edge 3", "latest/stable 1"}},
	{"kern", "amd64", "22", []string{"22/stable 1"}},
	{"editor", "amd64", "latest", []string{"latest/stable 1"}},
}

var searches = []struct {
	what string
	store.Search
	found string
}{
	{"a word", store.Search{Query: "hello"}, "hello"},
	{"words of the summary", store.Search{Query: "greets people"}, "hello"},
	{"a word that nothing has", store.Search{Query: "nothing-like-it"}, ""},
	{"a prefix", store.Search{Query: "hel", Prefix: true}, "hello"},
	{"a common id", store.Search{CommonID: "org.example.editor"}, "editor"},
	{"a category", store.Search{Category: "featured"}, "editor"},
	{"another category", store.Search{Category: "games", Scope: "wide"}, "all1"},
	{"a publisher", store.Search{Query: "acme", Scope: "wide"}, "acme-own all1 big core22 editor hello kern snapd tracked"},
	{"everything", store.Search{Scope: "wide"}, "acme-own all1 big core22 editor hello kern snapd tracked"},
}

func browses() {
	for _, one := range maps {
		check(fmt.Sprintf("info %s on %s", one.name, one.arch), func() error {
			info, err := storeFor(one.arch, nil).SnapInfo(ctx, store.SnapSpec{Name: one.name}, nil)
			if err != nil {
				return err
			}
			var rows []string
			for name, row := range info.Channels {
				rows = append(rows, fmt.Sprintf("%s %s", name, row.Revision))
				if size := world.Files[File{one.name, row.Revision.N}].Size; row.Size != size || row.ReleasedAt.IsZero() || row.Version != "1."+row.Revision.String() {
					return fmt.Errorf("%s: size %d, expected %d, released %s, version %s", name, row.Size, size, row.ReleasedAt, row.Version)
				}
			}
			head := "1." + strings.Fields(one.rows[0])[1]
			return first(
				sameSet("channels", rows, one.rows...),
				same("tracks", strings.Join(info.Tracks, " "), one.tracks),
				same("id", info.SnapID, world.IDs[one.name]),
				same("version", info.Version, head),
				same("publisher", info.Publisher, snap.StoreAccount{ID: brand, Username: "acme", DisplayName: "Acme Inc.", Validation: "verified"}),
				same("summary", info.Summary() != "", true),
				same("licence", info.License, "MIT"),
				same("pictures", len(info.Media), 0),
			)
		})
	}
	check("info of an unknown snap", func() error {
		_, err := sto.SnapInfo(ctx, store.SnapSpec{Name: "no-such-snap"}, nil)
		return same("refusal", err, store.ErrSnapNotFound)
	})
	check("info of a snap that is not for this architecture", func() error {
		_, err := storeFor("s390x", nil).SnapInfo(ctx, store.SnapSpec{Name: "hello"}, nil)
		return same("refusal", err, store.ErrSnapNotFound)
	})
	check("whether a snap exists", func() error {
		ref, channel, err := sto.SnapExists(ctx, store.SnapSpec{Name: "tracked"}, nil)
		if err != nil {
			return err
		}
		return first(same("id", ref.ID(), world.IDs["tracked"]), same("channel", channel.Full(), "3/stable"))
	})

	for _, one := range searches {
		check("find by "+one.what, func() error {
			found, err := sto.Find(ctx, &one.Search, nil)
			if err != nil {
				return err
			}
			var names []string
			for _, info := range found {
				names = append(names, info.SnapName())
				if info.SnapID != world.IDs[info.SnapName()] || info.Size == 0 || info.Version == "" || info.Publisher.Username != "acme" {
					return fmt.Errorf("%s: id %s, size %d, version %s", info.SnapName(), info.SnapID, info.Size, info.Version)
				}
			}
			return sameSet("found", names, strings.Fields(one.found)...)
		})
	}
	check("find leaves classic snaps out on Ubuntu Core", func() error {
		defer release.MockOnClassic(release.OnClassic)()
		release.MockOnClassic(false)
		found, err := sto.Find(ctx, &store.Search{CommonID: "org.example.editor"}, nil)
		return first(err, same("count", len(found), 0))
	})
	check("find of a user who is not logged in", func() error {
		_, err := sto.Find(ctx, &store.Search{Private: true}, nil)
		return same("refusal", err, store.ErrUnauthenticated)
	})
	check("sections", func() error {
		names, err := sto.Sections(ctx, nil)
		return first(err, same("sections", strings.Join(names, " "), "featured games"))
	})
	check("the catalog of names and commands", func() error {
		var names bytes.Buffer
		catalog := commands{}
		if err := sto.WriteCatalogs(ctx, &names, catalog); err != nil {
			return err
		}
		return first(
			sameSet("names", strings.Fields(names.String()), "acme-own", "all1", "big", "core22", "editor", "hello", "kern", "snapd", "tracked"),
			same("hello", catalog["hello"], "1.5: hi hello hello.world"),
			same("editor", catalog["editor"], "1.1: editor"),
		)
	})
	check("cohorts", func() error {
		keys, err := sto.CreateCohorts(ctx, []string{"hello", "all1"})
		return first(err, same("count", len(keys), 2), same("key of hello", keys["hello"] != "", true))
	})
	check("a cohort of an unknown snap", func() error {
		_, err := sto.CreateCohorts(ctx, []string{"hello", "no-such-snap"})
		return same("refusal", err, store.ErrSnapNotFound)
	})
	check("install from a cohort", func() error {
		keys, err := sto.CreateCohorts(ctx, []string{"hello"})
		if err != nil {
			return err
		}
		action := ask{name: "hello", channel: "edge"}.action("install")
		action.CohortKey = keys["hello"]
		results, _, err := sto.SnapAction(ctx, nil, []*store.SnapAction{action}, nil, nil, nil)
		if err != nil {
			return err
		}
		return offers(results[0], "hello", gives{6, "latest/edge", ""})
	})
	check("connectivity", func() error {
		hosts, err := sto.ConnectivityCheck()
		return first(err, same("hosts", fmt.Sprint(hosts), fmt.Sprint(map[string]bool{tap.URL.Host: true})))
	})
}

// commands of each snap as command-not-found knows them
type commands map[string]string

func (c commands) AddSnap(name, version, _ string, commands []string) error {
	c[name] = version + ": " + strings.Join(commands, " ")
	return nil
}
