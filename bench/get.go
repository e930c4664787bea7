//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	largeSize   = 1 << 30
	getFloor    = 0.4
	memoryLimit = 100 // MB, of the owner's process and of the reader's

	smallFiles = 2000
	smallSize  = 8 << 10
)

// getLarge is a file of 1 GiB from alice's disk to bob's, sealed and verified, beside the
// same bytes as plain NATS requests across the same hub and import.
func getLarge(ctx context.Context, s *stage) ([]Result, error) {
	r, err := newRace(ctx, s, "large", map[string]int64{"film.bin": largeSize})
	if err != nil {
		return nil, err
	}
	defer r.close()
	note(s.log, "get-1g: 2 × %d GiB through the hub", s.runs)
	values, err := turns(ctx, s.runs, r.ours, r.plain)
	if err != nil {
		return nil, err
	}
	return []Result{
		compared("get-1g", "MB/s", values[0], values[1], false, getFloor),
		bounded("get-1g-memory-owner", "MB", r.ownerPeak, slices.Max(r.ownerPeak), memoryLimit),
		bounded("get-1g-memory-reader", "MB", r.readerPeak, slices.Max(r.readerPeak), memoryLimit),
	}, nil
}

// getSmall is a folder of many small files, where what counts is the cost of each file.
func getSmall(ctx context.Context, s *stage) ([]Result, error) {
	files := make(map[string]int64, smallFiles)
	for i := range smallFiles {
		files[fmt.Sprintf("part%02d/file%04d.bin", i%20, i)] = smallSize
	}
	r, err := newRace(ctx, s, "small", files)
	if err != nil {
		return nil, err
	}
	defer r.close()
	note(s.log, "get-small: 2 × %d × %d files through the hub", s.runs, smallFiles)
	values, err := turns(ctx, s.runs, r.ours, r.plain)
	if err != nil {
		return nil, err
	}
	perSecond := func(rates []float64) []float64 { // from MB/s
		for i := range rates {
			rates[i] *= mega / smallSize
		}
		return rates
	}
	return []Result{compared("get-small", "files/s", perSecond(values[0]), perSecond(values[1]), false, noLimit)}, nil
}

// race is a folder of alice's that bob fetches, once with keyhall and once plainly.
type race struct {
	stage        *stage
	hall         *hall
	name         string
	source       string
	bytes        int64
	serving      *process // keyhall serve
	plainServe   *process
	plainReader  *plainLogin
	plainSubject string

	ownerPeak  []float64 // memory after each run of ours, since the owner's start
	readerPeak []float64 // of each run of ours
}

func newRace(ctx context.Context, s *stage, name string, files map[string]int64) (*race, error) {
	hall, err := s.hall(ctx)
	if err != nil {
		return nil, err
	}
	r := &race{stage: s, hall: hall, name: name, source: s.path(name)}
	for path, size := range files {
		if err := writeRandom(filepath.Join(r.source, path), size); err != nil {
			return nil, err
		}
		r.bytes += size
	}
	catalog, err := hall.offer(ctx, name, r.source)
	if err != nil {
		return nil, err
	}
	if r.serving, err = hall.serve(ctx, name); err != nil {
		return nil, err
	}
	if err := r.startPlain(ctx, catalog); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *race) close() {
	for _, p := range []*process{r.serving, r.plainServe} {
		if p != nil {
			_ = p.stop() // its work was checked
		}
	}
	_ = os.RemoveAll(r.source) // it is removed with the stage in any case
}

// ours fetches the folder with keyhall get.
func (r *race) ours(ctx context.Context) (float64, error) {
	return r.fetch(func(dest string) (*finished, error) {
		done, err := r.hall.bob.keyhall(ctx, "get", "alice/"+r.name, dest, "--json")
		if err != nil {
			return nil, err
		}
		owner, err := memory(r.serving.cmd.Process.Pid, "VmHWM")
		r.ownerPeak, r.readerPeak = append(r.ownerPeak, owner), append(r.readerPeak, done.peak)
		return done, err
	})
}

// fetch runs one fetch into an empty folder, compares what came, and gives its rate in MB/s:
// from the start of the reader's process to its end.
func (r *race) fetch(run func(dest string) (*finished, error)) (float64, error) {
	dest := r.stage.path("fetched")
	if err := os.MkdirAll(dest, 0o700); err != nil {
		return 0, err
	}
	done, err := run(dest)
	if err == nil {
		err = sameFolder(r.source, filepath.Join(dest, r.name))
	}
	if err = errors.Join(err, os.RemoveAll(dest)); err != nil {
		return 0, err
	}
	rate := float64(r.bytes) / mega / done.took.Seconds()
	note(r.stage.log, "  %s MB/s, %s", number(rate), done.took.Round(time.Millisecond))
	return rate, nil
}
