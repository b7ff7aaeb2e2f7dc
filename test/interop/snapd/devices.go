package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/snapcore/snapd/asserts"
	"github.com/snapcore/snapd/asserts/assertstest"
	"github.com/snapcore/snapd/asserts/systestkeys"
	"github.com/snapcore/snapd/dirs"
	"github.com/snapcore/snapd/overlord/auth"
	"github.com/snapcore/snapd/progress"
	"github.com/snapcore/snapd/store"
)

// device is a machine with an identity, as snapd's store package asks for it.
type device struct {
	state  auth.DeviceState
	serial asserts.Assertion
	key    asserts.PrivateKey
	// nonce replaces the store's where it is set
	nonce string
}

func newDevice(serial asserts.Assertion, key asserts.PrivateKey) *device {
	return &device{auth.DeviceState{Brand: brand, Model: "box", Serial: serial.HeaderString("serial")}, serial, key, ""}
}

func (d *device) Device() (*auth.DeviceState, error) {
	state := d.state
	return &state, nil
}

func (d *device) UpdateDeviceAuth(_ *auth.DeviceState, session string) (*auth.DeviceState, error) {
	d.state.SessionMacaroon = session
	return d.Device()
}

func (d *device) UpdateUserAuth(user *auth.UserState, _ []string) (*auth.UserState, error) {
	return user, nil
}

func (d *device) StoreID(string) (string, error) { return brandStore, nil }

func (d *device) ProxyStoreParams(url *url.URL) (string, *url.URL, error) { return "", url, nil }

func (d *device) CloudInfo() (*auth.CloudInfo, error) { return nil, nil }

func (d *device) DeviceSessionRequestParams(nonce string) (*store.DeviceSessionRequestParams, error) {
	if d.nonce != "" {
		nonce = d.nonce
	}
	request, err := asserts.SignWithoutAuthority(asserts.DeviceSessionRequestType, headers{
		"brand-id": brand, "model": "box", "serial": d.state.Serial, "nonce": nonce, "timestamp": signedAt,
	}, nil, d.key)
	if err != nil {
		return nil, err
	}
	return &store.DeviceSessionRequestParams{
		Request: request.(*asserts.DeviceSessionRequest), Serial: d.serial.(*asserts.Serial), Model: model().(*asserts.Model),
	}, nil
}

// installs asks for a snap.
func installs(client *store.Store, name string, want int) error {
	results, _, err := client.SnapAction(ctx, nil, []*store.SnapAction{ask{name: name}.action("install")}, nil, nil, nil)
	if err != nil {
		return err
	}
	return offers(results[0], name, gives{want, "latest/stable", ""})
}

func paths(seen []Exchange) string {
	var all []string
	for _, one := range seen {
		all = append(all, fmt.Sprintf("%s %s %d", one.Method, one.Path, one.Status))
	}
	return strings.Join(all, ", ")
}

const opening = "POST /api/v1/snaps/auth/nonces 200, POST /api/v1/snaps/auth/sessions 200"

func devices() {
	box := newDevice(serial("box-0001"), deviceKey)
	client := storeFor("amd64", box)
	check("a device opens a session", func() error {
		seen, err := tap.watch(client.EnsureDeviceSession)
		return first(err, same("requests", paths(seen), opening), same("has a session", box.state.SessionMacaroon != "", true))
	})
	check("a device shows its session, and opens no other", func() error {
		seen, err := tap.watch(func() error {
			if err := installs(client, "hello", 5); err != nil {
				return err
			}
			_, err := client.Assertion(asserts.AccountType, []string{brand}, nil)
			return err
		})
		if err != nil {
			return err
		}
		session := fmt.Sprintf(`Macaroon root="%s"`, box.state.SessionMacaroon)
		return first(
			same("requests", paths(seen), "POST /v2/snaps/refresh 200, GET /v2/assertions/account/"+brand+" 200"),
			same("header of an action", seen[0].Header.Get("Snap-Device-Authorization"), session),
			same("header of an assertion", seen[1].Header.Get("X-Device-Authorization"), session),
		)
	})
	check("a device opens a session by itself when it first asks", func() error {
		other := newDevice(serial("box-0002"), deviceKey)
		seen, err := tap.watch(func() error { return installs(storeFor("amd64", other), "hello", 5) })
		return first(err, same("requests", paths(seen), opening+", POST /v2/snaps/refresh 200"))
	})
	check("two devices have two sessions", func() error {
		other := newDevice(serial("box-0003"), deviceKey)
		err := storeFor("amd64", other).EnsureDeviceSession()
		return first(err, same("are equal", other.state.SessionMacaroon == box.state.SessionMacaroon, false))
	})
	check("a brand's snap is for the brand's devices", func() error { return installs(client, "branded", 1) })
	check("a brand's snap is shown to them", func() error {
		_, err := client.SnapInfo(ctx, store.SnapSpec{Name: "branded"}, nil)
		if err != nil {
			return err
		}
		found, err := client.Find(ctx, &store.Search{Query: "branded"}, nil)
		return first(err, same("count", len(found), 1))
	})
	check("a brand's snap is downloaded by them", func() error {
		results, _, err := client.SnapAction(ctx, nil, []*store.SnapAction{ask{name: "branded"}.action("download")}, nil, nil, nil)
		if err != nil {
			return err
		}
		info := results[0].DownloadInfo
		target := filepath.Join(dirs.GlobalRootDir, "branded.snap")
		if err := refused(sto.Download(ctx, "branded", target, &info, progress.Null, nil, nil), "404"); err != nil {
			return fmt.Errorf("by another: %w", err)
		}
		return client.Download(ctx, "branded", target, &info, progress.Null, nil, nil)
	})
	check("a machine without a serial asks without a session", func() error {
		other := newDevice(serial("box-0004"), deviceKey)
		other.state.Serial = ""
		seen, err := tap.watch(func() error { return installs(storeFor("amd64", other), "hello", 5) })
		return first(err, same("requests", paths(seen), "POST /v2/snaps/refresh 200"))
	})
	check("a session of another store does no harm", func() error {
		other := newDevice(serial("box-0005"), deviceKey)
		other.state.SessionMacaroon = "MDAxY2xvY2F0aW9uIGFwaS5zbmFwY3JhZnQuaW8"
		return installs(storeFor("amd64", other), "hello", 5)
	})
	check("a request that another key signed opens no session", func() error {
		return refused(storeFor("amd64", newDevice(serial("box-0006"), brandKey)).EnsureDeviceSession(), "cannot get device session", "400")
	})
	check("a nonce that is none of the store's opens no session", func() error {
		other := newDevice(serial("box-0007"), deviceKey)
		other.nonce = "1234567890.abcdef"
		return refused(storeFor("amd64", other).EnsureDeviceSession(), "cannot get device session", "400")
	})
	check("a serial that the brand did not sign gets nothing of the brand's", func() error {
		forger := assertstest.NewSigningDB(brand, privateKey(systestkeys.TestRootPrivKey))
		public, err := asserts.EncodePublicKey(deviceKey.PublicKey())
		if err != nil {
			return err
		}
		forged := signed(forger, asserts.SerialType, headers{
			"brand-id": brand, "model": "box", "serial": "box-0008",
			"device-key": string(public), "device-key-sha3-384": deviceKey.PublicKey().ID(),
		}, nil)
		client := storeFor("amd64", newDevice(forged, deviceKey))
		_, _, err = client.SnapAction(ctx, nil, []*store.SnapAction{ask{name: "branded"}.action("install")}, nil, nil, nil)
		return first(refusedAs(err, "install", "branded", nil), installs(client, "hello", 5))
	})
}
