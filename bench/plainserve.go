//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/seal"
)

// plainOwner answers requests for blocks with what is on the disk.
type plainOwner struct {
	dir   string
	files []plainFile
	list  []byte

	mu   sync.Mutex
	open map[int]*os.File // large ones are kept open, as keyhall does during a transfer
}

// plainServe answers until ctx ends. It says a line when it is ready.
func plainServe(ctx context.Context, nc *nats.Conn, subject, dir string) error {
	o := &plainOwner{dir: dir, open: make(map[int]*os.File)}
	if err := o.look(); err != nil {
		return err
	}
	requests := make(chan *nats.Msg, 1024)
	if _, err := nc.ChanSubscribe(subject, requests); err != nil {
		return err
	}
	if err := nc.FlushTimeout(plainPatient); err != nil {
		return err
	}
	fmt.Println("ready")
	var workers sync.WaitGroup
	for range plainWorkers {
		workers.Go(func() {
			buffer := make([]byte, seal.BlockSize)
			for {
				select {
				case msg := <-requests:
					o.answer(msg, buffer)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	workers.Wait()
	return nil
}

func (o *plainOwner) look() error {
	err := filepath.WalkDir(o.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(o.dir, path)
		o.files = append(o.files, plainFile{Path: name, Size: info.Size()})
		return err
	})
	if err != nil {
		return err
	}
	o.list, err = json.Marshal(o.files)
	return err
}

// answer sends a block. Nothing is sent for what cannot be read: the reader gives up.
func (o *plainOwner) answer(msg *nats.Msg, buffer []byte) {
	if len(msg.Data) == 0 {
		_ = msg.Respond(o.list) // a reader that is gone needs no answer
		return
	}
	if len(msg.Data) != 8 {
		return
	}
	file := int(binary.BigEndian.Uint32(msg.Data))
	index := binary.BigEndian.Uint32(msg.Data[4:])
	data, err := o.block(file, index, buffer)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: plain owner:", err)
		return
	}
	_ = msg.Respond(data)
}

func (o *plainOwner) block(number int, index uint32, buffer []byte) ([]byte, error) {
	if number >= len(o.files) {
		return nil, fmt.Errorf("there is no file %d", number)
	}
	size := o.files[number].Size
	data := buffer[:seal.BlockLen(size, index)]
	file, err := o.file(number)
	if err != nil {
		return nil, err
	}
	if size <= seal.BlockSize {
		defer file.Close() //nolint:errcheck // only read
	}
	if _, err := file.ReadAt(data, int64(index)*seal.BlockSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}

func (o *plainOwner) file(number int) (*os.File, error) {
	path := filepath.Join(o.dir, o.files[number].Path)
	if o.files[number].Size <= seal.BlockSize {
		return os.Open(path)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if file := o.open[number]; file != nil {
		return file, nil
	}
	file, err := os.Open(path)
	if err == nil {
		o.open[number] = file // until the process ends
	}
	return file, err
}
