//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/seal"
)

// The baseline of a fetch is this program again: as the owner it answers requests for blocks
// of files, as the reader it asks for them, sixteen at a time like keyhall, and writes them
// to disk. It goes through the same hub and the same import of the reader's account. It
// neither signs, seals nor verifies anything.
const (
	plainCommand = "plain"
	plainWindow  = 16 // blocks under way, as keyhall's four reads of four
	plainWorkers = 8  // at the owner, as many as keyhall has
	plainFiles   = 8  // files at a time, as keyhall has
	plainPatient = 20 * time.Second
)

// plainFile is a file as the owner lists it.
type plainFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// blockRequest asks for a block: u32 file, u32 index. An empty request asks for the list.
func blockRequest(file, index int) []byte {
	request := binary.BigEndian.AppendUint32(nil, uint32(file)) //nolint:gosec // a few thousand files
	return binary.BigEndian.AppendUint32(request, uint32(index))
}

// plainMain runs one side: plain serve|get, with where and as whom.
func plainMain(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("plain serve or plain get")
	}
	flags := flag.NewFlagSet("plain", flag.ContinueOnError)
	url := flags.String("url", "", "the NATS server")
	creds := flags.String("creds", "", "the creds file")
	inbox := flags.String("inbox", "", "the inbox prefix")
	subject := flags.String("subject", "", "where to answer or to ask")
	dir := flags.String("dir", "", "the folder to read from or to write to")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	nc, err := nats.Connect(*url, nats.UserCredentials(*creds), nats.CustomInboxPrefix(*inbox))
	if err != nil {
		return err
	}
	defer nc.Close()
	if args[0] == "serve" {
		return plainServe(ctx, nc, *subject, *dir)
	}
	return plainGet(ctx, nc, *subject, *dir)
}

// plainLogin is how one side of the baseline connects: as a device of a member, made with
// keyhall creds.
type plainLogin struct {
	URL   string `json:"url"`
	Creds string `json:"creds"`
	Inbox string `json:"inbox_prefix"`
}

func (m *member) plainLogin(ctx context.Context, name string) (*plainLogin, error) {
	login := &plainLogin{}
	return login, m.object(ctx, login, "creds", name)
}

func (l *plainLogin) args(side, subject, dir string) []string {
	return []string{plainCommand, side, "-url", l.URL, "-creds", l.Creds, "-inbox", l.Inbox, "-subject", subject, "-dir", dir}
}

// startPlain starts the baseline's owner beside keyhall's, on a subject of the same catalog.
func (r *race) startPlain(ctx context.Context, catalog string) error {
	owner, err := r.hall.alice.plainLogin(ctx, "plain-"+r.name)
	if err != nil {
		return err
	}
	if r.plainReader, err = r.hall.bob.plainLogin(ctx, "plain-"+r.name); err != nil {
		return err
	}
	r.plainSubject = "from." + r.hall.alice.account + "." + catalog + ".plain"
	subject := "catalog." + r.hall.bob.account + "." + catalog + ".plain"
	if r.plainServe, err = start(ctx, nil, r.stage.self, owner.args("serve", subject, r.source)...); err != nil {
		return err
	}
	_, err = r.plainServe.firstLine(ctx)
	return err
}

// plain fetches the folder with plain requests.
func (r *race) plain(ctx context.Context) (float64, error) {
	return r.fetch(func(dest string) (*finished, error) {
		into := dest + "/" + r.name
		if err := os.Mkdir(into, 0o700); err != nil {
			return nil, err
		}
		return finish(ctx, nil, r.stage.self, r.plainReader.args("get", r.plainSubject, into)...)
	})
}

func checkBlock(file plainFile, index int, data []byte) error {
	if want := seal.BlockLen(file.Size, uint32(index)); len(data) != want { //nolint:gosec // fewer than 2³² blocks
		return fmt.Errorf("block %d of %s has %d bytes, not %d", index, file.Path, len(data), want)
	}
	return nil
}
