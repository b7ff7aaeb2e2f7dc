package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/snapcore/snapd/asserts"
	"github.com/snapcore/snapd/asserts/snapasserts"
	"github.com/snapcore/snapd/asserts/sysdb"
	"github.com/snapcore/snapd/snap"
)

// absent are keys that the store holds nothing of.
var absent = []asserts.Ref{
	{Type: asserts.AccountType, PrimaryKey: []string{"nobody"}},
	{Type: asserts.AccountKeyType, PrimaryKey: []string{strings.Repeat("k", 64)}},
	{Type: asserts.SnapDeclarationType, PrimaryKey: []string{"16", "unknownunknownunknownunknown0001"}},
	{Type: asserts.SnapRevisionType, PrimaryKey: []string{strings.Repeat("r", 64)}},
	{Type: asserts.SnapRevisionType, PrimaryKey: []string{strings.Repeat("r", 64), "elsewhere"}},
	{Type: asserts.StoreType, PrimaryKey: []string{"nowhere"}},
	{Type: asserts.ModelType, PrimaryKey: []string{"16", brand, "van"}},
	{Type: asserts.SerialType, PrimaryKey: []string{brand, "box", "box-9999"}},
	{Type: asserts.ValidationSetType, PrimaryKey: []string{"16", brand, "fleet", "9"}},
	{Type: asserts.SystemUserType, PrimaryKey: []string{brand, "we ird%x?y@acme.example"}},
	{Type: asserts.SnapDeveloperType, PrimaryKey: []string{"unknownunknownunknownunknown0001", brand}},
	{Type: asserts.PreseedType, PrimaryKey: []string{"16", brand, "box", "20260101"}},
}

// newDatabase trusts what snapd trusts, its public test root included.
func newDatabase(held ...asserts.Assertion) *asserts.Database {
	db, err := asserts.OpenDatabase(&asserts.DatabaseConfig{
		Backstore: asserts.NewMemoryBackstore(), Trusted: sysdb.Trusted(), OtherPredefined: sysdb.Generic(),
	})
	if err != nil {
		panic(err)
	}
	for _, one := range held {
		if err := db.Add(one); err != nil {
			panic(err)
		}
	}
	return db
}

func retrieve(ref *asserts.Ref) (asserts.Assertion, error) {
	return sto.Assertion(ref.Type, ref.PrimaryKey, nil)
}

// fetch brings an assertion and all that it rests on into a fresh database, which verifies each.
func fetch(ref *asserts.Ref) (*asserts.Database, error) {
	db := newDatabase()
	return db, asserts.NewFetcher(db, retrieve, db.Add).Fetch(ref)
}

// imported are the assertions of the world's files, by type.
func imported(folder string) (map[*asserts.AssertionType][]asserts.Assertion, error) {
	all := map[*asserts.AssertionType][]asserts.Assertion{}
	seen := map[string]bool{}
	paths, err := filepath.Glob(filepath.Join(folder, "*.assert"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		decoder := asserts.NewDecoder(file)
		for one, err := decoder.Decode(); err != io.EOF; one, err = decoder.Decode() {
			if err != nil {
				return nil, err
			}
			if key := one.Ref().Unique(); !seen[key] {
				seen[key] = true
				all[one.Type()] = append(all[one.Type()], one)
			}
		}
	}
	return all, nil
}

func assertions() {
	all, err := imported(world.Folder)
	if err != nil {
		panic(err)
	}
	for _, name := range asserts.TypeNames() {
		held := all[asserts.Type(name)]
		if len(held) == 0 {
			continue
		}
		check(fmt.Sprintf("assertions of the type %s, as they were signed", name), func() error {
			for _, want := range held {
				got, err := retrieve(want.Ref())
				if err != nil {
					return err
				}
				if err := same(want.Ref().String(), string(asserts.Encode(got)), string(asserts.Encode(want))); err != nil {
					return err
				}
			}
			return nil
		})
		check(fmt.Sprintf("assertions of the type %s, verified up to the root", name), func() error {
			for _, want := range held {
				db, err := fetch(want.Ref())
				if err != nil {
					return fmt.Errorf("%s: %w", want.Ref(), err)
				}
				if _, err := want.Ref().Resolve(db.Find); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, ref := range absent {
		check(fmt.Sprintf("no %s %s", ref.Type.Name, strings.Join(ref.PrimaryKey, " ")), func() error {
			_, err := retrieve(&ref)
			return notFound(err)
		})
	}
	for name, id := range world.IDs {
		if name == "branded" {
			continue
		}
		check("all files of "+name+", cross-checked with their assertions", func() error {
			for file, content := range world.Files {
				if file.Name != name {
					continue
				}
				under := ""
				if name == ownSigned {
					under = provenance
				}
				db := newDatabase()
				if err := snapasserts.FetchSnapAssertions(asserts.NewFetcher(db, retrieve, db.Add), content.Digest, under); err != nil {
					return err
				}
				side := &snap.SideInfo{RealName: name, SnapID: id, Revision: snap.R(file.Revision)}
				if _, err := snapasserts.CrossCheck(name, content.Digest, under, uint64(content.Size), side, nil, db); err != nil {
					return err
				}
			}
			return nil
		})
	}

	sequences := []struct {
		name     string
		sequence int
		gives    int
	}{{"fleet", 0, 2}, {"fleet", 1, 1}, {"fleet", 2, 2}, {"fleet", 3, 0}, {"flotilla", 0, 0}, {"flotilla", 1, 0}}
	for _, one := range sequences {
		check(fmt.Sprintf("validation set %s at sequence %d (0: the latest)", one.name, one.sequence), func() error {
			got, err := sto.SeqFormingAssertion(asserts.ValidationSetType, []string{"16", brand, one.name}, one.sequence, nil)
			if one.gives == 0 {
				return notFound(err)
			}
			if err != nil {
				return err
			}
			return same("sequence", got.(asserts.SequenceMember).Sequence(), one.gives)
		})
	}
	check("what `snap ack` is to be told of the store", func() error {
		reply, err := http.Get(tap.URL.String() + "v2/auth/store/assertions")
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		batch := asserts.NewBatch(nil)
		refs, err := batch.AddStream(reply.Body)
		if err != nil {
			return err
		}
		var kinds []string
		for _, ref := range refs {
			kinds = append(kinds, ref.Type.Name)
		}
		return first(
			batch.CommitTo(newDatabase(), &asserts.CommitOptions{Precheck: true}),
			sameSet("types", kinds, "account-key", "account", "store"),
		)
	})
}

// notFound wants what snapd takes for an assertion that does not exist, not for a fault.
func notFound(err error) error {
	if asserts.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("not a missing assertion: %v", err)
}
