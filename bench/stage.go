//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// mega is the M of MB: sizes, rates and limits are in millions of bytes.
const mega = 1e6

// stage is what the rows share: a folder that is removed in the end, the binary that is
// measured, and a hub with two members, started when a row asks for it.
type stage struct {
	dir    string
	binary string
	self   string // this program, which the baselines run as well
	runs   int
	log    io.Writer
	shared *hall
}

func newStage(ctx context.Context, o *options, log io.Writer) (*stage, error) {
	dir, err := os.MkdirTemp("", "keyhall-bench-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, binary: o.binary, runs: o.runs, log: log}
	if s.self, err = os.Executable(); err == nil && s.binary == "" {
		s.binary = filepath.Join(dir, "keyhall")
		err = build(ctx, s.binary)
	}
	if err == nil {
		s.binary, err = filepath.Abs(s.binary)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// build builds keyhall as make build does, with flags besides.
func build(ctx context.Context, to string, flags ...string) error {
	args := append([]string{"build", "-o", to}, flags...)
	_, err := finish(ctx, nil, "go", append(args, "./cmd/keyhall")...)
	return err
}

func (s *stage) close() error {
	var err error
	if s.shared != nil {
		err = s.shared.close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// hall is the hub that rows share.
func (s *stage) hall(ctx context.Context) (*hall, error) {
	if s.shared != nil {
		return s.shared, nil
	}
	h, err := openHall(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("start a hub with two members: %w", err)
	}
	s.shared = h
	return h, nil
}
