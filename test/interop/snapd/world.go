package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/snapcore/snapd/asserts"
)

// World is the folder that ../snap.ts writes: NAME_REVISION.snap, and NAME.json with the snap's id and channels.
type World struct {
	Folder string
	// IDs by name
	IDs   map[string]string
	Files map[File]Content
}

type File struct {
	Name     string
	Revision int
}

type Content struct {
	Path string
	Size int64
	// Digest as assertions have it; Hex as the API has it
	Digest, Hex string
}

func readWorld(folder string) (World, error) {
	world := World{Folder: folder, IDs: map[string]string{}, Files: map[File]Content{}}
	texts, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return world, err
	}
	for _, path := range texts {
		var told struct {
			Name string
			ID   string `json:"snap-id"`
		}
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &told)
		}
		if err != nil {
			return world, err
		}
		world.IDs[told.Name] = told.ID
	}
	images, err := filepath.Glob(filepath.Join(folder, "*.snap"))
	if err != nil {
		return world, err
	}
	for _, path := range images {
		name, number, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".snap"), "_")
		revision, err := strconv.Atoi(number)
		if err != nil {
			return world, err
		}
		digest, size, err := asserts.SnapFileSHA3_384(path)
		if err != nil {
			return world, err
		}
		raw, err := base64.RawURLEncoding.DecodeString(digest)
		if err != nil {
			return world, err
		}
		world.Files[File{name, revision}] = Content{path, int64(size), digest, hex.EncodeToString(raw)}
	}
	if len(world.Files) == 0 {
		return world, fmt.Errorf("%s: there is no snap in it", folder)
	}
	return world, nil
}
