//go:build linux

package main

import (
	"context"
	"os"
)

const sizeLimit = 40 // MB

// binarySize is the size of the program: stripped, as it is given to people, and as make
// build leaves it. Each is built several times: a build that is not always the same is not
// reproducible either.
func binarySize(ctx context.Context, s *stage) ([]Result, error) {
	note(s.log, "binary-size: building")
	builds, err := turns(ctx, s.runs,
		func(ctx context.Context) (float64, error) { return s.builtSize(ctx, "-trimpath", "-ldflags=-s -w") },
		func(ctx context.Context) (float64, error) { return s.builtSize(ctx) })
	if err != nil {
		return nil, err
	}
	return []Result{
		bounded("binary-size", "MB", builds[0], median(builds[0]), sizeLimit),
		bounded("binary-size-full", "MB", builds[1], median(builds[1]), noLimit),
	}, nil
}

func (s *stage) builtSize(ctx context.Context, flags ...string) (float64, error) {
	to := s.path("sized")
	defer os.Remove(to) //nolint:errcheck // it is removed with the stage in any case
	if err := build(ctx, to, flags...); err != nil {
		return 0, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / mega, nil
}
