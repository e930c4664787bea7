//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/folder"
)

const (
	scanCatalog = "gosrc"
	coldFloor   = 0.5
	warmFloor   = 10
	warmScans   = 10
	fewestFiles = 10_000
)

// scan makes a catalog of the Go toolchain's source with the whole program: it starts, walks,
// hashes, and stores the index. Beside it stands sha256sum over the same files, one after the
// other as people run it, and as many at a time as there are processors. Everything is in
// the page cache.
//
// Then it looks for changes where there are none: within one process, as keyhall serve does
// again and again, beside the first scan there; and with the whole program.
func scan(ctx context.Context, s *stage) ([]Result, error) {
	hall, err := s.hall(ctx)
	if err != nil {
		return nil, err
	}
	tree, files, err := goSource(ctx)
	if err != nil {
		return nil, err
	}
	note(s.log, "scan-cold, scan-warm: %d files in %s", files, tree)
	if _, err := sumFiles(ctx, s, tree, 1); err != nil { // fills the page cache
		return nil, err
	}
	p := &scanner{member: hall.alice, dir: tree, files: files}
	values, err := turns(ctx, s.runs, p.program,
		func(ctx context.Context) (float64, error) { return sumFiles(ctx, s, tree, 1) },
		func(ctx context.Context) (float64, error) { return sumFiles(ctx, s, tree, runtime.NumCPU()) },
		p.library)
	if err != nil {
		return nil, err
	}
	return []Result{
		compared("scan-cold", "s", values[0], values[1], true, coldFloor),
		compared("scan-cold-parallel", "s", values[0], values[2], true, noLimit),
		compared("scan-warm", "s", values[3], p.libraryCold, true, warmFloor),
		compared("scan-warm-program", "s", p.programWarm, values[0], true, noLimit),
	}, nil
}

// scanner scans one folder, first and again.
type scanner struct {
	member *member
	dir    string
	files  int

	programWarm []float64
	libraryCold []float64
}

// program makes a catalog of the folder, scans it again, and forgets it. It gives the time
// of the first.
func (c *scanner) program(ctx context.Context) (float64, error) {
	first, err := c.member.keyhall(ctx, "catalog", "add", scanCatalog, c.dir, "--json")
	if err != nil {
		return 0, err
	}
	again, err := c.member.keyhall(ctx, "catalog", "scan", scanCatalog, "--json")
	if err != nil {
		return 0, err
	}
	for output, hashed := range map[string]int{first.output: c.files, again.output: 0} {
		if !strings.Contains(output, fmt.Sprintf(`"hashed":%d,`, hashed)) {
			return 0, fmt.Errorf("the scan was to hash %d files, and says %s", hashed, output)
		}
	}
	c.programWarm = append(c.programWarm, again.took.Seconds())
	_, err = c.member.keyhall(ctx, "catalog", "remove", scanCatalog)
	return first.took.Seconds(), err
}

// library does the same within this process. It gives the time of a second scan: the mean of
// as many as take about as long as the first, for the machine does other things meanwhile.
func (c *scanner) library(ctx context.Context) (float64, error) {
	began := time.Now()
	index, first, err := folder.Scan(ctx, c.dir, nil, folder.Options{})
	if err != nil {
		return 0, err
	}
	c.libraryCold = append(c.libraryCold, time.Since(began).Seconds())
	began = time.Now()
	for range warmScans {
		_, again, err := folder.Scan(ctx, c.dir, index, folder.Options{})
		if err != nil {
			return 0, err
		}
		if first.Hashed != c.files || again.Kept != c.files {
			return 0, fmt.Errorf("of %d files %d were hashed, then %d kept", c.files, first.Hashed, again.Kept)
		}
	}
	return time.Since(began).Seconds() / warmScans, nil
}

// goSource is the toolchain's source tree and how many files are in it.
func goSource(ctx context.Context) (tree string, files int, err error) {
	root, err := finish(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return "", 0, err
	}
	tree = filepath.Join(strings.TrimSpace(root.output), "src")
	err = filepath.WalkDir(tree, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files++
		}
		return err
	})
	if err == nil && files < fewestFiles {
		err = fmt.Errorf("%s has %d files only", tree, files)
	}
	return tree, files, err
}

// sumFiles is sha256sum over every file below dir, so many processes at a time, with the
// sums in a file.
func sumFiles(ctx context.Context, s *stage, dir string, processes int) (float64, error) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		return 0, fmt.Errorf("the baseline needs GNU coreutils: %w", err)
	}
	sums := s.path("sums")
	defer os.Remove(sums) //nolint:errcheck // it is removed with the stage in any case
	batch := ""
	if processes > 1 {
		batch = "-n 250" // or all files would go to a few processes
	}
	line := fmt.Sprintf(`find "$1" -type f -print0 | xargs -0 %s -P %d sha256sum > "$2"`, batch, processes)
	done, err := finish(ctx, nil, "sh", "-c", line, "sh", dir, sums)
	if err != nil {
		return 0, err
	}
	return done.took.Seconds(), nil
}
