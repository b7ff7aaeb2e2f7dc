// controller36 asks a hub what a Juju 3.6.11 controller asks at deploy, refresh and revision check, with Juju's own packages:
//
//	controller36 URL EXPECT.json
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/juju/juju/charmhub"
	"github.com/juju/juju/core/charm/repository"
	"github.com/juju/loggo"
)

// Expect is what the hub must answer; ../expect.ts makes it.
type Expect struct {
	Packages []Package
	Resolve  []Case
	Refuse   []Case
	Pins     []Pin
	Updates  []Update
	Registry struct{ Username, Password string }
}

type Package struct {
	Name, Type, ID, Publisher string
	FirstTrack                string
	Rows                      []Row
	Archives                  map[int]Content
	Resources                 map[string]Resource
}

type Row struct {
	Channel, Base, Arch string
	Revision            int
}

type Resource struct {
	Type      string
	Revisions map[int]Content
}

// Content of an oci-image is the reference to pull from: its size and hashes are the hub's own.
type Content struct {
	Size   int
	SHA256 string
	Image  string
}

// Case is what an operator asks for: without a base where Base is empty, by revision where Revision is set.
type Case struct {
	Name, Channel, Base, Arch string
	Revision                  *int
	Gives                     Given
	Says                      []string
}

type Given struct {
	Revision  int
	Channel   string
	Base      string
	Resources map[string]int
}

// Pin is `deploy --resource Resource=Pinned` of the charm revision that Case gives.
type Pin struct {
	Case
	Resource string
	Pinned   int
}

// Update is an application that runs revision Installed of what Case gives.
type Update struct {
	Case
	Installed int
}

func (c Case) String() string {
	text := fmt.Sprintf("%s on %s", c.Name, c.Arch)
	if c.Channel != "" {
		text += " --channel " + c.Channel
	}
	if c.Base != "" {
		text += " --base " + c.Base
	}
	if c.Revision != nil {
		text += fmt.Sprintf(" --revision %d", *c.Revision)
	}
	return text
}

var (
	ctx    = context.Background()
	logger = loggo.GetLogger("interop")
	expect Expect
	client *charmhub.Client
	repo   *repository.CharmHubRepository

	passed, failed int
)

// check prints one line; a panic of Juju is a failure of that check alone.
func check(what string, body func() error) {
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return body()
	}()
	if err == nil {
		passed++
		fmt.Println("ok  ", what)
		return
	}
	failed++
	fmt.Printf("FAIL %s: %s\n", what, strings.ReplaceAll(err.Error(), "\n", " / "))
}

func same[T comparable](what string, got, want T) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s is %v, expected %v", what, got, want)
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refused wants an error that tells the operator what is the matter, not that Juju could not read the reply.
func refused(err error, says ...string) error {
	if err == nil {
		return fmt.Errorf("it was answered")
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			return fmt.Errorf("%q does not say %q", err, word)
		}
	}
	for _, word := range []string{"EOF", "invalid character", "unmarshal", "unexpected c", "server error", "parsing time", "more than 1 result"} {
		if strings.Contains(err.Error(), word) {
			return fmt.Errorf("no refusal but a reply that Juju cannot read: %q", err)
		}
	}
	return nil
}

func setUp(url, path string) error {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &expect)
	}
	if err == nil {
		client, err = charmhub.NewClient(charmhub.Config{URL: url, Logger: logger})
	}
	repo = repository.NewCharmHubRepository(logger, client)
	return err
}

func main() {
	loggo.GetLogger("").SetLogLevel(loggo.CRITICAL)
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "controller36 URL EXPECT.json")
		os.Exit(2)
	}
	if err := setUp(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	deploys()
	models()
	browses()
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}
