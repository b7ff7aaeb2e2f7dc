package main

import (
	"fmt"

	"github.com/snapcore/snapd/snap"
	"github.com/snapcore/snapd/store"
)

// installed is a snap on the machine; what it stores has the format epoch.
type installed struct {
	name     string
	revision int
	tracking string
	epoch    uint32
}

func (i installed) current() *store.CurrentSnap {
	return &store.CurrentSnap{
		InstanceName: i.name, SnapID: world.IDs[snap.InstanceSnap(i.name)], Revision: snap.R(i.revision), TrackingChannel: i.tracking,
		Epoch: snap.Epoch{Read: []uint32{i.epoch}, Write: []uint32{i.epoch}},
	}
}

func (i installed) refresh(channel string, to int) *store.SnapAction {
	return &store.SnapAction{
		Action: "refresh", InstanceName: i.name, SnapID: world.IDs[snap.InstanceSnap(i.name)], Channel: channel, Revision: revision(to),
	}
}

var none = gives{}

// updates that a machine is offered; none: it is up to date
var offered = []struct {
	of    installed
	to    ask
	gives gives
}{
	{installed{"hello", 5, "latest/stable", 0}, ask{}, none},
	{installed{"hello", 4, "latest/stable", 0}, ask{}, gives{5, "latest/stable", ""}},
	{installed{"hello", 4, "", 0}, ask{}, gives{5, "latest/stable", ""}},
	{installed{"hello", 5, "latest/candidate", 0}, ask{}, none},
	{installed{"hello", 5, "latest/edge", 0}, ask{}, gives{6, "latest/edge", ""}},
	{installed{"hello", 6, "latest/edge", 0}, ask{}, none},
	{installed{"hello", 6, "latest/stable", 0}, ask{}, gives{5, "latest/stable", ""}}, // the channel went back
	{installed{"hello", 5, "latest/stable", 0}, ask{channel: "latest/edge"}, gives{6, "latest/edge", ""}},
	{installed{"hello", 5, "latest/stable", 0}, ask{channel: "2.0"}, gives{7, "2.0/stable", ""}},
	{installed{"hello", 5, "latest/stable", 0}, ask{revision: 4}, gives{4, "", ""}},
	{installed{"hello", 5, "latest/stable", 0}, ask{channel: "latest/edge", revision: 4}, gives{4, "latest/edge", ""}},
	{installed{"hello", 5, "latest/stable", 0}, ask{channel: "latest/stable", revision: 5}, none},
	{installed{"hello", 8, "latest/stable", 0}, ask{arch: "arm64"}, none},
	// What cannot read the machine's data is not offered.
	{installed{"hello", 5, "3.0/stable", 0}, ask{}, none},
	{installed{"hello", 5, "latest/stable", 0}, ask{channel: "3.0/stable"}, none},
	{installed{"hello", 5, "3.0/edge", 0}, ask{}, gives{11, "3.0/edge", ""}},
	{installed{"hello", 11, "3.0/stable", 1}, ask{}, gives{10, "3.0/stable", ""}},
	// A branch that is gone gives what it was made from, to those that follow it.
	{installed{"hello", 5, "latest/edge/fix", 0}, ask{}, gives{9, "latest/edge/fix", ""}},
	{installed{"hello", 5, "latest/edge/gone", 0}, ask{}, gives{6, "latest/edge", ""}},
	{installed{"hello", 5, "latest/edge/gone", 0}, ask{channel: "latest/edge/gone"}, gives{6, "latest/edge", ""}},
	// A default track is for new installs.
	{installed{"tracked", 1, "latest/stable", 0}, ask{}, none},
	{installed{"tracked", 1, "latest/edge", 0}, ask{}, none},
	{installed{"tracked", 1, "3/stable", 0}, ask{}, gives{2, "3/stable", ""}},
}

func refreshes() {
	for _, one := range offered {
		one.to.name = "what it follows"
		check(fmt.Sprintf("refresh %s %d, tracking %q, to %s", one.of.name, one.of.revision, one.of.tracking, one.to), func() error {
			asked := []*store.SnapAction{one.of.refresh(one.to.channel, one.to.revision)}
			results, _, err := one.to.store().SnapAction(ctx, []*store.CurrentSnap{one.of.current()}, asked, nil, nil, nil)
			if one.gives == none {
				return upToDate(err, one.of.name)
			}
			if err != nil {
				return err
			}
			return first(same("count of results", len(results), 1), offers(results[0], one.of.name, one.gives))
		})
	}
	hello := installed{"hello", 5, "latest/stable", 0}
	for _, to := range []ask{{channel: "latest/edge/gone"}, {channel: "9.9/stable"}, {revision: 900}, {arch: "s390x"}} {
		to.name = "what is not there"
		check(fmt.Sprintf("refresh to %s is refused", to), func() error {
			asked := []*store.SnapAction{hello.refresh(to.channel, to.revision)}
			_, _, err := to.store().SnapAction(ctx, []*store.CurrentSnap{hello.current()}, asked, nil, nil, nil)
			return refusedAs(err, "refresh", "hello", helloReleases)
		})
	}
	check("refresh a snap that the store does not know", func() error {
		current, action := hello.current(), hello.refresh("", 0)
		current.SnapID, action.SnapID = "unknownunknownunknownunknown0001", "unknownunknownunknownunknown0001"
		_, _, err := sto.SnapAction(ctx, []*store.CurrentSnap{current}, []*store.SnapAction{action}, nil, nil, nil)
		return refusedAs(err, "refresh", "hello", nil)
	})
	check("a revision that the user went back from is not offered again", func() error {
		current := installed{"hello", 4, "latest/stable", 0}.current()
		current.Block = []snap.Revision{snap.R(5)}
		_, _, err := sto.SnapAction(ctx, []*store.CurrentSnap{current}, []*store.SnapAction{hello.refresh("", 0)}, nil, nil, nil)
		return upToDate(err, "hello")
	})
	check("refresh several snaps, some of them", func() error {
		machine := []installed{{"hello", 4, "latest/stable", 0}, {"all1", 3, "latest/beta", 0}, {"tracked", 2, "3/stable", 0}, {"core22", 1, "latest/stable", 0}}
		var context []*store.CurrentSnap
		var asked []*store.SnapAction
		for i, one := range machine {
			context = append(context, one.current())
			if i < 3 {
				asked = append(asked, one.refresh("", 0))
			}
		}
		results, _, err := sto.SnapAction(ctx, context, asked, nil, nil, nil)
		return first(
			upToDate(err, "tracked"),
			same("count of results", len(results), 2),
			offers(results[0], "hello", gives{5, "latest/stable", ""}),
			offers(results[1], "all1", gives{4, "latest/beta", ""}),
		)
	})
	check("refresh parallel instances", func() error {
		machine := []installed{{"hello", 4, "latest/stable", 0}, {"hello_two", 5, "latest/edge", 0}, {"hello_three", 5, "latest/stable", 0}}
		var context []*store.CurrentSnap
		var asked []*store.SnapAction
		for _, one := range machine {
			context = append(context, one.current())
			asked = append(asked, one.refresh("", 0))
		}
		results, _, err := sto.SnapAction(ctx, context, asked, nil, nil, &store.RefreshOptions{PrivacyKey: "salt"})
		return first(
			upToDate(err, "hello_three"),
			same("count of results", len(results), 2),
			same("first", fmt.Sprint(results[0].InstanceName(), results[0].Revision), "hello5"),
			same("second", fmt.Sprint(results[1].InstanceName(), results[1].Revision), "hello_two6"),
		)
	})
	check("refresh one snap while another is installed", func() error {
		asked := []*store.SnapAction{hello.refresh("latest/edge", 0), ask{name: "all1"}.action("install")}
		results, _, err := sto.SnapAction(ctx, []*store.CurrentSnap{hello.current()}, asked, nil, nil, nil)
		if err != nil {
			return err
		}
		return first(
			same("count of results", len(results), 2),
			offers(results[0], "hello", gives{6, "latest/edge", ""}),
			offers(results[1], "all1", gives{3, "latest/stable", ""}),
		)
	})
}

// upToDate wants snapd to see that there is nothing newer, for that snap alone.
func upToDate(err error, name string) error {
	all, ok := err.(*store.SnapActionError)
	if !ok {
		return fmt.Errorf("not up to date: %v", err)
	}
	return first(
		same("refusal", all.Refresh[name], store.ErrNoUpdateAvailable),
		same("count of refusals", len(all.Refresh)+len(all.Install)+len(all.Download)+len(all.Other), 1),
	)
}
