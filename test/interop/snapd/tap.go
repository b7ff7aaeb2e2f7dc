package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// Tap stands between snapd and the store: it notes what is asked, and can break a download off.
type Tap struct {
	URL *url.URL

	mu   sync.Mutex
	seen []Exchange
	cut  int64
}

type Exchange struct {
	Method, Path string
	Header       http.Header
	Status       int
}

func newTap(target string) (*Tap, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	tap := &Tap{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = tap.answered
	tap.URL, err = url.Parse(httptest.NewServer(proxy).URL + "/")
	return tap, err
}

func (t *Tap) answered(reply *http.Response) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := reply.Request
	t.seen = append(t.seen, Exchange{asked.Method, asked.URL.Path, asked.Header, reply.StatusCode})
	if t.cut > 0 && strings.HasPrefix(asked.URL.Path, "/api/v1/snaps/download/") {
		reply.Body = &broken{reply.Body, t.cut}
		t.cut = 0
	}
	return nil
}

// watch returns the exchanges of body.
func (t *Tap) watch(body func() error) ([]Exchange, error) {
	t.mu.Lock()
	before := len(t.seen)
	t.mu.Unlock()
	err := body()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[before:], err
}

// breakOff ends the next download after so many bytes.
func (t *Tap) breakOff(after int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = after
}

type broken struct {
	io.ReadCloser
	left int64
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
