package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/snapcore/snapd/asserts"
	"github.com/snapcore/snapd/asserts/assertstest"
	"github.com/snapcore/snapd/asserts/systestkeys"
)

const (
	brand = "acme-inc"
	// brandStore is the store that devices of the brand's model use.
	brandStore = "acme-store"
	// ownSigned is the snap whose revisions the brand itself signs, under this provenance.
	ownSigned  = "acme-own"
	provenance = "acme-build"
	signedAt   = "2020-01-02T03:04:05Z"
)

// snapd publishes these private keys for tests.
var (
	storeKey  = privateKey(systestkeys.TestStorePrivKey)
	brandKey  = privateKey(assertstest.DevKey)
	deviceKey = privateKey(systestkeys.TestRepairRootPrivKey)

	storeSigner = assertstest.NewSigningDB("testrootorg", storeKey)
	brandSigner = assertstest.NewSigningDB(brand, brandKey)
)

type headers = map[string]any

func privateKey(armored string) asserts.PrivateKey {
	key, _ := assertstest.ReadPrivKey(armored)
	return key
}

// signed panics where snapd's own code refuses the headers.
func signed(signer *assertstest.SigningDB, kind *asserts.AssertionType, with headers, body []byte) asserts.Assertion {
	if with["timestamp"] == nil && kind != asserts.AccountKeyType && kind != asserts.SystemUserType {
		with["timestamp"] = signedAt
	}
	assertion, err := signer.Sign(kind, with, body, "")
	if err != nil {
		panic(err)
	}
	return assertion
}

func account() asserts.Assertion {
	return signed(storeSigner, asserts.AccountType, headers{
		"account-id": brand, "display-name": "Acme Inc.", "username": "acme", "validation": "certified",
	}, nil)
}

func accountKey() asserts.Assertion {
	public, err := asserts.EncodePublicKey(brandKey.PublicKey())
	if err != nil {
		panic(err)
	}
	return signed(storeSigner, asserts.AccountKeyType, headers{
		"account-id": brand, "name": "default", "since": "2016-01-01T00:00:00Z", "public-key-sha3-384": brandKey.PublicKey().ID(),
	}, public)
}

// declaration is one revision of a snap-declaration.
func declaration(name, id, revision string) asserts.Assertion {
	with := headers{"series": "16", "snap-id": id, "snap-name": name, "publisher-id": brand, "revision": revision}
	switch name {
	case "hello":
		with["aliases"] = []any{headers{"name": "hi", "target": "hello"}}
	case ownSigned:
		with["format"] = "5"
		with["revision-authority"] = []any{headers{"account-id": brand, "provenance": []any{provenance}}}
	}
	return signed(storeSigner, asserts.SnapDeclarationType, with, nil)
}

func snapRevision(file File, content Content, id string) asserts.Assertion {
	with := headers{
		"snap-sha3-384": content.Digest, "snap-size": fmt.Sprint(content.Size), "snap-id": id,
		"snap-revision": fmt.Sprint(file.Revision), "developer-id": brand,
	}
	if file.Name == ownSigned {
		with["provenance"] = provenance
		return signed(brandSigner, asserts.SnapRevisionType, with, nil)
	}
	return signed(storeSigner, asserts.SnapRevisionType, with, nil)
}

func model() asserts.Assertion {
	return signed(brandSigner, asserts.ModelType, headers{
		"series": "16", "brand-id": brand, "model": "box", "classic": "true", "store": brandStore,
	}, nil)
}

// serial is a device of the model, with the device's key.
func serial(number string) asserts.Assertion {
	public, err := asserts.EncodePublicKey(deviceKey.PublicKey())
	if err != nil {
		panic(err)
	}
	return signed(brandSigner, asserts.SerialType, headers{
		"brand-id": brand, "model": "box", "serial": number,
		"device-key": string(public), "device-key-sha3-384": deviceKey.PublicKey().ID(),
	}, nil)
}

// validationSet pins hello at a revision.
func validationSet(name string, sequence, revision, hello int, id string) asserts.Assertion {
	return signed(brandSigner, asserts.ValidationSetType, headers{
		"series": "16", "account-id": brand, "name": name, "sequence": fmt.Sprint(sequence), "revision": fmt.Sprint(revision),
		"snaps": []any{headers{"name": "hello", "id": id, "presence": "required", "revision": fmt.Sprint(hello)}},
	}, nil)
}

// others are the assertions that belong to no snap's file: one of each type that the store can hold.
func others(world World, url string) []asserts.Assertion {
	hello, all1 := world.IDs["hello"], world.IDs["all1"]
	file := world.Files[File{"hello", 5}]
	return []asserts.Assertion{
		accountKey(),
		model(),
		serial("box-0001"),
		validationSet("fleet", 1, 0, 4, hello),
		validationSet("fleet", 2, 1, 6, hello),
		signed(storeSigner, asserts.StoreType, headers{"store": brandStore, "operator-id": brand, "url": url}, nil),
		signed(brandSigner, asserts.ValidationType, headers{
			"series": "16", "snap-id": hello, "approved-snap-id": all1, "approved-snap-revision": "3",
		}, nil),
		signed(brandSigner, asserts.SnapBuildType, headers{
			"snap-sha3-384": file.Digest, "snap-id": hello, "snap-size": fmt.Sprint(file.Size), "grade": "stable",
		}, nil),
		signed(brandSigner, asserts.SystemUserType, headers{
			"brand-id": brand, "email": "ops+1@acme.example", "series": []any{"16"}, "models": []any{"box"}, "username": "ops",
			"password": "$6$salt$hash", "since": signedAt, "until": "2050-01-02T03:04:05Z",
		}, nil),
		signed(brandSigner, asserts.RepairType, headers{"brand-id": brand, "repair-id": "1", "summary": "mends nothing"}, []byte("#!/bin/sh\n\ntrue\n")),
	}
}

// sign writes what a `snap download` of every snap would leave, the rest of the assertions, and beside the folder the root that is to be trusted.
func sign(url, folder string) error {
	world, err := readWorld(folder)
	if err != nil {
		return err
	}
	// Signed once: the moment of signing is part of a signature.
	publisher, declarations := account(), map[string]asserts.Assertion{}
	for name, id := range world.IDs {
		declarations[name] = declaration(name, id, "1")
	}
	for file, content := range world.Files {
		own := snapRevision(file, content, world.IDs[file.Name])
		chain := []asserts.Assertion{systestkeys.TestStoreAccountKey, publisher, declarations[file.Name], own}
		if err := write(fmt.Sprintf("%s/%s_%d.assert", folder, file.Name, file.Revision), chain); err != nil {
			return err
		}
	}
	if _, ok := world.Files[File{"hello", 5}]; !ok {
		return nil // the next import's folder: the rest came with the first
	}
	return first(
		write(filepath.Join(folder, "others.assert"), others(world, url)),
		write(filepath.Join(filepath.Dir(folder), "root.assert"), systestkeys.Trusted),
	)
}

func write(path string, assertions []asserts.Assertion) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	encoder := asserts.NewEncoder(file)
	for _, one := range assertions {
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	return nil
}
