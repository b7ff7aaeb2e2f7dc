package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/snapcore/snapd/asserts/snapasserts"
	"github.com/snapcore/snapd/snap"
	"github.com/snapcore/snapd/snap/channel"
	"github.com/snapcore/snapd/store"
)

var ctx = context.Background()

// ask is what a user asks for: by revision where it is set, amd64 where no other architecture is.
type ask struct {
	name, channel string
	revision      int
	arch          string
}

func (a ask) String() string {
	text := a.name
	if a.channel != "" {
		text += " --channel " + a.channel
	}
	if a.revision != 0 {
		text += fmt.Sprintf(" --revision %d", a.revision)
	}
	if a.arch != "" {
		text += " on " + a.arch
	}
	return text
}

func (a ask) store() *store.Store {
	if a.arch == "" {
		return sto
	}
	return storeFor(a.arch, nil)
}

// gives is a revision, the channel that it came from, and the one to follow from now on.
type gives struct {
	revision          int
	channel, redirect string
}

var answers = []struct {
	ask
	gives
}{
	{ask{name: "hello"}, gives{5, "latest/stable", ""}},
	{ask{name: "hello", channel: "stable"}, gives{5, "latest/stable", ""}},
	{ask{name: "hello", channel: "latest/stable"}, gives{5, "latest/stable", ""}},
	{ask{name: "hello", channel: "latest"}, gives{5, "latest/stable", ""}},
	{ask{name: "hello", channel: "edge"}, gives{6, "latest/edge", ""}},
	{ask{name: "hello", channel: "latest/edge"}, gives{6, "latest/edge", ""}},
	{ask{name: "hello", channel: "2.0"}, gives{7, "2.0/stable", ""}},
	{ask{name: "hello", arch: "arm64"}, gives{8, "latest/stable", ""}},
	{ask{name: "all1", arch: "s390x"}, gives{3, "latest/stable", ""}},
	{ask{name: "core22"}, gives{1, "latest/stable", ""}},
	{ask{name: "editor"}, gives{1, "latest/stable", ""}},
	{ask{name: ownSigned}, gives{1, "latest/stable", ""}},
	// A closed risk gives the next safer release.
	{ask{name: "hello", channel: "candidate"}, gives{5, "latest/stable", ""}},
	{ask{name: "hello", channel: "beta"}, gives{5, "latest/stable", ""}},
	{ask{name: "hello", channel: "2.0/edge"}, gives{7, "2.0/stable", ""}},
	{ask{name: "all1", channel: "edge"}, gives{4, "latest/beta", ""}},
	// Branches are had by name only.
	{ask{name: "hello", channel: "edge/fix"}, gives{9, "latest/edge/fix", ""}},
	{ask{name: "hello", channel: "latest/edge/fix"}, gives{9, "latest/edge/fix", ""}},
	// A revision wins over the channel.
	{ask{name: "hello", revision: 6}, gives{6, "", ""}},
	{ask{name: "hello", revision: 4}, gives{4, "", ""}},
	{ask{name: "hello", channel: "latest/stable", revision: 6}, gives{6, "latest/stable", ""}},
	{ask{name: "hello", channel: "3.0/edge"}, gives{11, "3.0/edge", ""}},
	// A default track is followed by who names no track.
	{ask{name: "tracked"}, gives{2, "3/stable", "3/stable"}},
	{ask{name: "tracked", channel: "stable"}, gives{2, "3/stable", "3/stable"}},
	{ask{name: "tracked", channel: "beta"}, gives{2, "3/stable", "3/beta"}},
	{ask{name: "tracked", channel: "edge"}, gives{3, "3/edge", "3/edge"}},
	{ask{name: "tracked", channel: "latest/stable"}, gives{1, "latest/stable", ""}},
	{ask{name: "tracked", channel: "latest"}, gives{1, "latest/stable", ""}},
	{ask{name: "tracked", channel: "3"}, gives{2, "3/stable", ""}},
	{ask{name: "tracked", revision: 1}, gives{1, "", ""}},
	{ask{name: "kern"}, gives{1, "22/stable", "22/stable"}},
}

var helloReleases = []string{
	"amd64 latest/stable", "amd64 latest/edge", "amd64 2.0/stable", "amd64 3.0/stable", "amd64 3.0/edge", "arm64 latest/stable",
}

// refusals: what can be had instead; none where the snap is unknown.
var refusals = []struct {
	ask
	releases []string
}{
	{ask{name: "no-such-snap"}, nil},
	{ask{name: "no-such-snap", revision: 3}, nil},
	{ask{name: "branded"}, nil}, // for devices of a brand store alone
	{ask{name: "hello", channel: "9.9"}, helloReleases},
	{ask{name: "hello", channel: "edge/nofix"}, helloReleases},
	{ask{name: "hello", arch: "s390x"}, helloReleases},
	{ask{name: "hello", channel: "2.0", arch: "arm64"}, helloReleases},
	{ask{name: "hello", revision: 900}, helloReleases},
	{ask{name: "hello", revision: 8}, helloReleases}, // is for arm64
	{ask{name: "kern", channel: "latest/stable"}, []string{"amd64 22/stable"}},
	{ask{name: "all1", channel: "9.9"}, allReleases()},
}

func allReleases() (all []string) {
	for _, arch := range []string{"amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"} {
		all = append(all, arch+" latest/stable", arch+" latest/beta")
	}
	return all
}

func (a ask) action(kind string) *store.SnapAction {
	return &store.SnapAction{Action: kind, InstanceName: a.name, Channel: a.channel, Revision: revision(a.revision)}
}

// revision 0 is none.
func revision(number int) (r snap.Revision) {
	if number != 0 {
		r = snap.R(number)
	}
	return r
}

func actions() {
	for _, kind := range []string{"install", "download"} {
		for _, one := range answers {
			check(fmt.Sprintf("%s %s", kind, one.ask), func() error {
				results, _, err := one.store().SnapAction(ctx, nil, []*store.SnapAction{one.action(kind)}, nil, nil, nil)
				if err != nil {
					return err
				}
				return first(
					same("count of results", len(results), 1),
					offers(results[0], one.name, one.gives),
				)
			})
		}
		for _, one := range refusals {
			check(fmt.Sprintf("%s %s is refused", kind, one.ask), func() error {
				_, _, err := one.store().SnapAction(ctx, nil, []*store.SnapAction{one.action(kind)}, nil, nil, nil)
				return refusedAs(err, kind, one.name, one.releases)
			})
		}
	}
	check("install several snaps at once, of which one is unknown", func() error {
		asked := []*store.SnapAction{ask{name: "hello"}.action("install"), ask{name: "nope"}.action("install"), ask{name: "tracked"}.action("install")}
		results, _, err := sto.SnapAction(ctx, nil, asked, nil, nil, nil)
		return first(
			refusedAs(err, "install", "nope", nil),
			same("count of results", len(results), 2),
			offers(results[0], "hello", gives{5, "latest/stable", ""}),
			offers(results[1], "tracked", gives{2, "3/stable", "3/stable"}),
		)
	})
	check("install two instances of a snap", func() error {
		asked := []*store.SnapAction{ask{name: "hello"}.action("install"), ask{name: "hello_two", channel: "edge"}.action("install")}
		results, _, err := sto.SnapAction(ctx, nil, asked, nil, nil, nil)
		if err != nil {
			return err
		}
		return first(
			same("count of results", len(results), 2),
			same("first", results[0].InstanceName(), "hello"),
			same("second", results[1].InstanceName(), "hello_two"),
			same("revision of the second", results[1].Revision, snap.R(6)),
		)
	})
	check("install with a cohort, flags and an auto-refresh's headers", func() error {
		action := ask{name: "hello"}.action("install")
		action.CohortKey, action.Flags = "anything", store.SnapActionIgnoreValidation
		options := &store.RefreshOptions{IsAutoRefresh: true, RefreshManaged: true}
		results, _, err := sto.SnapAction(ctx, nil, []*store.SnapAction{action}, nil, nil, options)
		if err != nil {
			return err
		}
		return offers(results[0], "hello", gives{5, "latest/stable", ""})
	})
	check("install under an enforced validation set", func() error {
		action := ask{name: "hello"}.action("install")
		action.ValidationSets = []snapasserts.ValidationSetKey{snapasserts.ValidationSetKey("16/" + brand + "/fleet/1")}
		action.Flags = store.SnapActionEnforceValidation
		results, _, err := sto.SnapAction(ctx, nil, []*store.SnapAction{action}, nil, nil, nil)
		if err != nil {
			return err
		}
		return same("revision", results[0].Revision, snap.R(4))
	})
}

// offers holds a result against the file that it must lead to.
func offers(result store.SnapActionResult, name string, want gives) error {
	file := world.Files[File{name, want.revision}]
	from, _ := channel.Full(result.Channel)
	follow, _ := channel.Full(result.RedirectChannel)
	return first(
		same("name", result.SnapName(), name),
		same("snap id", result.SnapID, world.IDs[name]),
		same("revision", result.Revision, snap.R(want.revision)),
		same("channel", from, want.channel),
		same("channel to follow", follow, want.redirect),
		same("size", result.Size, file.Size),
		same("sha3-384", result.Sha3_384, file.Hex),
		same("address", strings.HasPrefix(result.DownloadURL, tap.URL.String()), true),
		same("deltas", len(result.Deltas), 0),
		same("version", result.Version, fmt.Sprintf("1.%d", want.revision)),
		same("publisher", result.Publisher.ID+" "+result.Publisher.Validation, brand+" verified"),
		same("paid", result.Paid, false),
		described(result.Info),
	)
}

// described holds what a snap is against its snap.yaml, of which snapd reads plugs and provenance from the reply's copy.
func described(info *snap.Info) error {
	kinds := map[string]snap.Type{"core22": snap.TypeBase, "kern": snap.TypeKernel}
	kind := kinds[info.SnapName()]
	if kind == "" {
		kind = snap.TypeApp
	}
	confinement := snap.StrictConfinement
	if info.SnapName() == "editor" {
		confinement = snap.ClassicConfinement
	}
	return first(
		same("type", info.Type(), kind),
		same("confinement", info.Confinement, confinement),
		same("has its plug", info.Plugs["network"] != nil, kind == snap.TypeApp),
		same("provenance", info.SnapProvenance, map[bool]string{true: provenance}[info.SnapName() == ownSigned]),
	)
}

func refusedAs(err error, kind, name string, releases []string) error {
	var all *store.SnapActionError
	if !errors.As(err, &all) {
		return fmt.Errorf("no refusal of an action: %v", err)
	}
	why := map[string]map[string]error{"install": all.Install, "download": all.Download, "refresh": all.Refresh}[kind][name]
	if releases == nil {
		return same("refusal", why, store.ErrSnapNotFound)
	}
	var unavailable *store.RevisionNotAvailableError
	if !errors.As(why, &unavailable) {
		return fmt.Errorf("no missing revision: %v", err)
	}
	var listed []string
	for _, one := range unavailable.Releases {
		full, _ := channel.Full(one.Name)
		listed = append(listed, one.Architecture+" "+full)
	}
	return first(
		same("action", unavailable.Action, kind),
		sameSet("what can be had", listed, releases...),
		same("lists each once", len(slices.Compact(slices.Sorted(slices.Values(listed)))), len(listed)),
	)
}
