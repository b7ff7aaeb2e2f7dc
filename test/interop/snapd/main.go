// snapd asks a store what snapd 2.57 asks it, with snapd's own packages store and asserts:
//
//	snapd sign URL FOLDER   writes the assertions of FOLDER/*.snap, below snapd's public test root, for the store at URL
//	snapd ask URL FOLDER    asks the store at URL, which holds FOLDER
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/snapcore/snapd/dirs"
	_ "github.com/snapcore/snapd/interfaces/builtin" // snapd reads no snap.yaml without
	"github.com/snapcore/snapd/store"
)

var (
	world  World
	tap    *Tap
	sto    *store.Store
	passed int
	failed int
)

// check prints one line; a panic of snapd is a failure of that check alone.
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

// sameSet compares without regard to order.
func sameSet(what string, got []string, want ...string) error {
	return same(what, strings.Join(slices.Sorted(slices.Values(got)), ", "), strings.Join(slices.Sorted(slices.Values(want)), ", "))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refused wants an error that says so.
func refused(err error, says ...string) error {
	if err == nil {
		return fmt.Errorf("it was answered")
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			return fmt.Errorf("%q does not say %q", err, word)
		}
	}
	return nil
}

// storeFor is a client on a machine of that architecture; device nil: one without identity.
func storeFor(arch string, device store.DeviceAndAuthContext) *store.Store {
	config := store.DefaultConfig()
	config.StoreBaseURL = tap.URL
	config.AssertionsBaseURL = nil
	config.Architecture = arch
	config.CacheDownloads = 0
	return store.New(config, device)
}

func askAll(url, folder string) (err error) {
	if world, err = readWorld(folder); err != nil {
		return err
	}
	if tap, err = newTap(url); err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "interop-snapd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	dirs.SetRootDir(root)
	sto = storeFor("amd64", nil)
	actions()
	refreshes()
	browses()
	downloads(root)
	assertions()
	updates()
	devices()
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return nil
}

func main() {
	does := map[string]func(url, folder string) error{"sign": sign, "ask": askAll}
	if len(os.Args) != 4 || does[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "snapd sign|ask URL FOLDER")
		os.Exit(2)
	}
	err := does[os.Args[1]](os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}
