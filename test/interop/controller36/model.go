package main

import (
	"context"
	"fmt"

	charmresource "github.com/juju/charm/v12/resource"
	"github.com/juju/juju/charmhub"
	"github.com/juju/juju/charmhub/transport"
	"github.com/juju/juju/core/charm/metrics"
	"github.com/juju/names/v5"
)

var (
	model     = names.NewModelTag("deadbeef-0bad-400d-8000-4b1d0d06f00d")
	telemetry = map[metrics.MetricKey]map[metrics.MetricKey]string{
		metrics.Controller: {metrics.JujuVersion: "3.6.11", metrics.UUID: model.Id()},
		metrics.Model:      {metrics.UUID: model.Id(), metrics.Cloud: "lxd", metrics.Provider: "lxd", metrics.NumApplications: "3"},
	}
)

// models is the periodic revision check: all applications of a model in one request.
func models() {
	if len(expect.Updates) == 0 {
		return
	}
	var answers []transport.RefreshResponse
	check(fmt.Sprintf("revision check of %d applications", len(expect.Updates)), func() (err error) {
		answers, err = ask(expect.Updates)
		return err
	})
	for i, u := range expect.Updates {
		check(fmt.Sprintf("update of %s from revision %d", u.Case, u.Installed), func() error {
			if i >= len(answers) {
				return fmt.Errorf("no answer")
			}
			return update(u, answers[i])
		})
	}
	check("revision check of 300 applications within Juju's own limit", func() error {
		var many []Update
		for i := range 300 {
			many = append(many, expect.Updates[i%len(expect.Updates)])
		}
		got, err := ask(many)
		for i := range got {
			err = first(err, update(many[i], got[i]))
		}
		return err
	})
	check("revision check with an application that the hub never had", func() error {
		unknown := expect.Updates[0]
		unknown.Name = ""
		got, err := ask([]Update{unknown, expect.Updates[0]})
		if err != nil {
			return err
		}
		if got[0].Error == nil || got[0].Error.Message == "" {
			return fmt.Errorf("it was answered without an error")
		}
		return update(expect.Updates[0], got[1])
	})
	check("telemetry alone", func() error { return client.RefreshWithMetricsOnly(ctx, telemetry) })
}

// ask fails unless there is one answer an application, in their order.
func ask(updates []Update) ([]transport.RefreshResponse, error) {
	var configs []charmhub.RefreshConfig
	for i, u := range updates {
		id := "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
		if u.Name != "" {
			id = packageOf(u.Name).ID
		}
		key := charmhub.CreateInstanceKey(names.NewApplicationTag(fmt.Sprintf("app%d", i)), model)
		config, err := charmhub.RefreshOne(key, id, u.Installed, u.Channel, charmhub.RefreshBase{Architecture: u.Arch, Name: "ubuntu", Channel: u.Base})
		if err == nil {
			config, err = charmhub.AddConfigMetrics(config, map[metrics.MetricKey]string{metrics.NumUnits: "3", metrics.Relations: "a,b"})
		}
		if err != nil {
			return nil, err
		}
		configs = append(configs, config)
	}
	limited, cancel := context.WithTimeout(ctx, charmhub.RefreshTimeout)
	defer cancel()
	got, err := client.RefreshWithRequestMetrics(limited, charmhub.RefreshMany(configs...), telemetry)
	return got, first(err, same("count of answers", len(got), len(updates)))
}

// update reads an answer as the charm revision updater does.
func update(u Update, r transport.RefreshResponse) error {
	if r.Error != nil {
		return fmt.Errorf("%s: %s", r.Error.Code, r.Error.Message)
	}
	listed := map[string]charmresource.Resource{}
	for _, one := range r.Entity.Resources {
		kind, err := charmresource.ParseType(one.Type)
		if err != nil {
			return err
		}
		fingerprint, err := charmresource.ParseFingerprint(one.Download.HashSHA384)
		if err != nil {
			return err
		}
		listed[one.Name] = charmresource.Resource{
			Meta: charmresource.Meta{Name: one.Name, Type: kind, Path: one.Filename}, Origin: charmresource.OriginStore,
			Revision: one.Revision, Fingerprint: fingerprint, Size: int64(one.Download.Size),
		}
	}
	return first(same("name", r.Name, u.Name), same("revision", r.Entity.Revision, u.Gives.Revision), same("channel", r.EffectiveChannel, u.Gives.Channel),
		agree("of the update", listed, u.Gives.Resources, false))
}
