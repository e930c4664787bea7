//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/seal"
)

// plainReader asks for blocks and writes them.
type plainReader struct {
	nc      *nats.Conn
	subject string
	dir     string
}

// plainGet fetches every file that the owner lists, each on the disk before it gets its name.
func plainGet(ctx context.Context, nc *nats.Conn, subject, dir string) error {
	r := &plainReader{nc: nc, subject: subject, dir: dir}
	answer, err := r.ask(ctx, nil)
	if err != nil {
		return err
	}
	var files []plainFile
	if err := json.Unmarshal(answer, &files); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(plainFiles)
	for number, file := range files {
		group.Go(func() error { return r.fetch(ctx, number, file) })
	}
	return group.Wait()
}

func (r *plainReader) ask(ctx context.Context, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, plainPatient)
	defer cancel()
	msg, err := r.nc.RequestWithContext(ctx, r.subject, request)
	if err != nil {
		return nil, err
	}
	return msg.Data, nil
}

func (r *plainReader) fetch(ctx context.Context, number int, from plainFile) error {
	path := filepath.Join(r.dir, from.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	part, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = r.fill(ctx, number, from, part)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// fill fetches the blocks of a file, as many at a time as the window has room for.
func (r *plainReader) fill(ctx context.Context, number int, from plainFile, to *os.File) error {
	blocks := int(seal.Blocks(from.Size))
	if blocks == 1 {
		return r.block(ctx, number, 0, from, to)
	}
	indexes := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	for range min(plainWindow, blocks) {
		group.Go(func() error {
			for index := range indexes {
				if err := r.block(ctx, number, index, from, to); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(indexes)
		for index := range blocks {
			select {
			case indexes <- index:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

func (r *plainReader) block(ctx context.Context, number, index int, from plainFile, to *os.File) error {
	data, err := r.ask(ctx, blockRequest(number, index))
	if err != nil {
		return err
	}
	if err := checkBlock(from, index, data); err != nil {
		return err
	}
	_, err = to.WriteAt(data, int64(index)*seal.BlockSize)
	return err
}
