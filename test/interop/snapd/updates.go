package main

import (
	"fmt"
	"sort"

	"github.com/snapcore/snapd/asserts"
	"github.com/snapcore/snapd/asserts/systestkeys"
	"github.com/snapcore/snapd/store"
)

const ghostID = "ghostghostghostghostghostghost01"

// machine has a database and asks for newer assertions, as snapd does before every refresh.
type machine struct {
	db   *asserts.Database
	pool *asserts.Pool
}

func newMachine(held ...asserts.Assertion) machine {
	db := newDatabase(append([]asserts.Assertion{systestkeys.TestStoreAccountKey, account()}, held...)...)
	return machine{db, asserts.NewPool(db, 64)}
}

// resolve asks until nothing is left; the errors by group.
func (m machine) resolve() (map[string]error, error) {
	for range 20 {
		_, found, err := sto.SnapAction(ctx, nil, nil, m.pool, nil, nil)
		if all, ok := err.(*store.SnapActionError); ok && all.NoResults && len(all.Other) == 0 {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			err := m.pool.CommitTo(m.db)
			return m.pool.Errors(), err
		}
		for _, one := range found {
			batch := asserts.NewBatch(nil)
			if err := sto.DownloadAssertions(one.StreamURLs, batch, nil); err != nil {
				return nil, first(m.pool.AddGroupingError(err, one.Grouping), err)
			}
			if _, err := m.pool.AddBatch(batch, one.Grouping); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("it never ends")
}

// resolved wants all to be well, but for groups that are missing.
func (m machine) resolved(missing ...string) error {
	errors, err := m.resolve()
	if err != nil {
		return err
	}
	var groups []string
	for group, why := range errors {
		if err := notFound(why); err != nil {
			return fmt.Errorf("%s: %w", group, err)
		}
		groups = append(groups, group)
	}
	sort.Strings(groups)
	return sameSet("missing", groups, missing...)
}

// has wants the database to hold that revision of an assertion.
func (m machine) has(ref *asserts.Ref, revision int) error {
	found, err := ref.Resolve(m.db.Find)
	if err != nil {
		return err
	}
	return same("revision of "+ref.String(), found.Revision(), revision)
}

func declarationOf(id string) *asserts.Ref {
	return &asserts.Ref{Type: asserts.SnapDeclarationType, PrimaryKey: []string{"16", id}}
}

func unknown(ref *asserts.Ref) *asserts.AtRevision {
	return &asserts.AtRevision{Ref: *ref, Revision: asserts.RevisionNotKnown}
}

func setAt(name string, sequence int, pinned bool) *asserts.AtSequence {
	return &asserts.AtSequence{
		Type: asserts.ValidationSetType, SequenceKey: []string{"16", brand, name}, Sequence: sequence, Pinned: pinned, Revision: asserts.RevisionNotKnown,
	}
}

func setRef(sequence int) *asserts.Ref {
	return &asserts.Ref{Type: asserts.ValidationSetType, PrimaryKey: []string{"16", brand, "fleet", fmt.Sprint(sequence)}}
}

func updates() {
	hello := world.IDs["hello"]
	check("a newer declaration than the machine has", func() error {
		m := newMachine(declaration("hello", hello, "0"))
		return first(m.pool.AddToUpdate(declarationOf(hello), "hello"), m.resolved(), m.has(declarationOf(hello), 1))
	})
	check("the declaration that the machine has", func() error {
		m := newMachine(declaration("hello", hello, "1"))
		return first(m.pool.AddToUpdate(declarationOf(hello), "hello"), m.resolved(), m.has(declarationOf(hello), 1))
	})
	check("a newer declaration on the machine than in the store", func() error {
		m := newMachine(declaration("hello", hello, "7"))
		return first(m.pool.AddToUpdate(declarationOf(hello), "hello"), m.resolved(), m.has(declarationOf(hello), 7))
	})
	check("a snap on the machine that the store knows nothing of harms no other", func() error {
		m := newMachine(declaration("ghost", ghostID, "0"), declaration("hello", hello, "0"))
		return first(
			m.pool.AddToUpdate(declarationOf(ghostID), "ghost"),
			m.pool.AddToUpdate(declarationOf(hello), "hello"),
			m.resolved(),
			m.has(declarationOf(ghostID), 0),
			m.has(declarationOf(hello), 1),
		)
	})
	check("declarations of every snap, of which the machine has nothing", func() error {
		m := machine{db: newDatabase()}
		m.pool = asserts.NewPool(m.db, 64)
		for name, id := range world.IDs {
			if err := m.pool.AddUnresolved(unknown(declarationOf(id)), name); err != nil {
				return err
			}
		}
		if err := m.resolved(); err != nil {
			return err
		}
		for _, id := range world.IDs {
			if err := m.has(declarationOf(id), 1); err != nil {
				return err
			}
		}
		return nil
	})
	check("a declaration that neither has", func() error {
		m := newMachine()
		return first(
			m.pool.AddUnresolved(unknown(declarationOf(ghostID)), "ghost"),
			m.pool.AddUnresolved(unknown(declarationOf(hello)), "hello"),
			m.resolved("ghost"),
			m.has(declarationOf(hello), 1),
		)
	})
	check("revisions with and without a provenance", func() error {
		m := newMachine()
		own := &asserts.Ref{Type: asserts.SnapRevisionType, PrimaryKey: []string{world.Files[File{ownSigned, 1}].Digest, provenance}}
		plain := &asserts.Ref{Type: asserts.SnapRevisionType, PrimaryKey: []string{world.Files[File{"hello", 5}].Digest, "global-upload"}}
		return first(
			m.pool.AddUnresolved(unknown(own), "own"), m.pool.AddUnresolved(unknown(plain), "plain"), m.resolved(), m.has(own, 0), m.has(plain, 0),
		)
	})
	check("the store of the model", func() error {
		m := newMachine()
		ref := &asserts.Ref{Type: asserts.StoreType, PrimaryKey: []string{brandStore}}
		return first(m.pool.AddUnresolved(unknown(ref), "store"), m.resolved(), m.has(ref, 0))
	})

	sets := []struct {
		what    string
		held    []asserts.Assertion
		at      *asserts.AtSequence
		missing []string
		// sequence and revision that are there afterwards
		sequence, revision int
	}{
		{"a validation set, the latest", nil, setAt("fleet", 0, false), nil, 2, 1},
		{"a validation set, pinned", nil, setAt("fleet", 1, true), nil, 1, 0},
		{"a validation set, pinned at what is not there", nil, setAt("fleet", 3, true), []string{"set"}, 0, 0},
		{"a validation set that is not there", nil, setAt("flotilla", 0, false), []string{"set"}, 0, 0},
		{"a validation set that moved on", []asserts.Assertion{validationSet("fleet", 1, 0, 4, hello)}, setAt("fleet", 1, false), nil, 2, 1},
		{"a validation set that was signed again", []asserts.Assertion{validationSet("fleet", 2, 0, 5, hello)}, setAt("fleet", 2, false), nil, 2, 1},
		{"a validation set that is the latest", []asserts.Assertion{validationSet("fleet", 2, 1, 6, hello)}, setAt("fleet", 2, false), nil, 2, 1},
		{"a validation set, pinned, that moved on", []asserts.Assertion{validationSet("fleet", 1, 0, 4, hello)}, setAt("fleet", 1, true), nil, 1, 0},
		{"a validation set, pinned, that was signed again", []asserts.Assertion{validationSet("fleet", 2, 0, 5, hello)}, setAt("fleet", 2, true), nil, 2, 1},
		{"a validation set that is newer on the machine", []asserts.Assertion{validationSet("fleet", 3, 0, 5, hello)}, setAt("fleet", 3, false), nil, 3, 0},
	}
	for _, one := range sets {
		check(one.what, func() error {
			m := newMachine(append([]asserts.Assertion{accountKey()}, one.held...)...)
			add := m.pool.AddUnresolvedSequence
			if one.held != nil {
				add = m.pool.AddSequenceToUpdate
			}
			if err := first(add(one.at, "set"), m.resolved(one.missing...)); err != nil || one.missing != nil {
				return err
			}
			return m.has(setRef(one.sequence), one.revision)
		})
	}
}
