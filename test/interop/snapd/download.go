package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/snapcore/snapd/progress"
	"github.com/snapcore/snapd/snap"
	"github.com/snapcore/snapd/store"
)

// downloads has snapd fetch files, from what is there of them already, and verify them.
func downloads(folder string) {
	file := world.Files[File{"big", 1}]
	bytesOf, err := os.ReadFile(file.Path)
	if err != nil {
		panic(err)
	}
	half := file.Size / 2
	torn := bytes.Repeat([]byte("torn"), int(half/4))
	cases := []struct {
		what    string
		partial []byte
		cut     int64
		// requests as `STATUS Range`; a pattern
		requests string
	}{
		{"from nothing", nil, 0, "200 "},
		{"the rest of what is there", bytesOf[:half], 0, fmt.Sprintf("206 bytes=%d-", half)},
		{"the last byte", bytesOf[:file.Size-1], 0, fmt.Sprintf("206 bytes=%d-", file.Size-1)},
		{"nothing, since all is there", bytesOf, 0, ""},
		{"all again, since what is there is torn", torn, 0, fmt.Sprintf("206 bytes=%d-, 200 ", len(torn))},
		{"all again, since what is there is too long", append(bytes.Clone(bytesOf), 'x'), 0, "200 "},
		{"the rest after the connection broke", nil, half, `200 , 206 bytes=[1-9]\d{6}-`},
	}
	for i, one := range cases {
		check("download "+one.what, func() error {
			target := filepath.Join(folder, fmt.Sprintf("big-%d.snap", i))
			if one.partial != nil {
				if err := os.WriteFile(target+".partial", one.partial, 0o600); err != nil {
					return err
				}
			}
			info, err := downloadInfo("big")
			if err != nil {
				return err
			}
			tap.breakOff(one.cut)
			seen, err := tap.watch(func() error { return sto.Download(ctx, "big", target, info, progress.Null, nil, nil) })
			if err != nil {
				return err
			}
			var requests []string
			for _, exchange := range seen {
				requests = append(requests, fmt.Sprintf("%d %s", exchange.Status, exchange.Header.Get("Range")))
			}
			if told := strings.Join(requests, ", "); !regexp.MustCompile("^" + one.requests + "$").MatchString(told) {
				return fmt.Errorf("requests are %q, expected %q", told, one.requests)
			}
			got, err := os.ReadFile(target)
			return first(err, same("the very bytes", bytes.Equal(got, bytesOf), true))
		})
	}
	check("download every snap", func() error {
		for file, content := range world.Files {
			if file.Name == "branded" {
				continue
			}
			info := &snap.DownloadInfo{DownloadURL: fmt.Sprintf("%sapi/v1/snaps/download/%s_%d.snap", tap.URL, world.IDs[file.Name], file.Revision), Size: content.Size, Sha3_384: content.Hex}
			target := filepath.Join(folder, filepath.Base(content.Path))
			if err := sto.Download(ctx, file.Name, target, info, progress.Null, nil, &store.DownloadOptions{IsAutoRefresh: true}); err != nil {
				return fmt.Errorf("%v: %w", file, err)
			}
		}
		return nil
	})
	check("download of other bytes than were promised is refused", func() error {
		info, err := downloadInfo("big")
		if err != nil {
			return err
		}
		info.Sha3_384 = strings.Repeat("0", 96)
		err = sto.Download(ctx, "big", filepath.Join(folder, "other.snap"), info, progress.Null, nil, nil)
		return refused(err, "sha3-384 mismatch")
	})
	check("download of a file that is not there", func() error {
		info, err := downloadInfo("big")
		if err != nil {
			return err
		}
		info.DownloadURL = strings.Replace(info.DownloadURL, "_1.snap", "_99.snap", 1)
		err = sto.Download(ctx, "big", filepath.Join(folder, "absent.snap"), info, progress.Null, nil, nil)
		return refused(err, "unexpected http response code (404)")
	})
	for _, from := range []int64{0, half} {
		check(fmt.Sprintf("stream from byte %d", from), func() error {
			info, err := downloadInfo("big")
			if err != nil {
				return err
			}
			reader, status, err := sto.DownloadStream(ctx, "big", info, from, nil)
			if err != nil {
				return err
			}
			defer reader.Close()
			got, err := io.ReadAll(reader)
			want := http.StatusOK
			if from > 0 {
				want = http.StatusPartialContent
			}
			return first(err, same("status", status, want), same("the very bytes", bytes.Equal(got, bytesOf[from:]), true))
		})
	}
}

func downloadInfo(name string) (*snap.DownloadInfo, error) {
	results, _, err := sto.SnapAction(ctx, nil, []*store.SnapAction{ask{name: name}.action("download")}, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	info := results[0].DownloadInfo
	return &info, nil
}
