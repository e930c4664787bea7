package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	talkLine = 64 << 10        // bytes of a line that is read; the room takes half of it
	echoTime = 3 * time.Second // how long the end of a chat waits for what was said to come back
)

// eraseLine takes a line that was typed off the terminal: the room shows it again, with
// its author and in its place.
const eraseLine = "\x1b[1A\x1b[2K"

// talk is a chat that is going on.
type talk struct {
	p       *program
	session *client.Session
	room    *client.Room
	lines   chan string
	away    map[uint64]bool // what was said here and has not come back yet, by sequence
}

// run shows and says until the input or ctx ends, or the room does. What was said is shown
// when it comes back from the room, in its place among the others.
func (t *talk) run(ctx context.Context) error {
	go t.read(ctx) // a read from a terminal cannot be called off: it ends with the program
	lines := t.lines
	var patience <-chan time.Time
	for lines != nil || len(t.away) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-patience:
			return fault.New(fault.Unavailable, "what you said last was stored, but did not come back in time")
		case message := <-t.session.Messages():
			t.show(message)
		case problem := <-t.session.Problems():
			if err := t.problem(problem); err != nil {
				return err
			}
		case line, more := <-lines:
			if !more {
				lines, patience = nil, time.After(echoTime)
			} else if err := t.say(ctx, line); err != nil {
				return err
			}
		}
	}
	return t.rest()
}

// rest shows what has come already: the last messages, where the input ended at once.
func (t *talk) rest() error {
	for {
		select {
		case message := <-t.session.Messages():
			t.show(message)
		case problem := <-t.session.Problems():
			if err := t.problem(problem); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// read passes on the lines of the input.
func (t *talk) read(ctx context.Context) {
	defer close(t.lines)
	input := bufio.NewReaderSize(t.p.sys.In, talkLine)
	for {
		line, err := input.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			t.p.warn("a line of more than %d bytes was cut in two", talkLine)
			err = nil
		}
		if text := strings.TrimRight(string(line), "\r\n"); strings.TrimSpace(text) != "" {
			select {
			case t.lines <- text:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.p.warn("the input cannot be read: %v", err)
			}
			return
		}
	}
}

// say sends a line. At a terminal a refusal is shown and the chat goes on; in a pipe,
// where nobody sees it, it ends.
func (t *talk) say(ctx context.Context, text string) error {
	said, err := t.session.Say(ctx, t.room.ID, text)
	switch {
	case err == nil:
		t.away[said.Seq] = true
		t.erase(text)
		return nil
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, client.ErrNotInRoom), errors.Is(err, client.ErrTurnedAway), !isTerminal(t.p.sys.In):
		return err
	}
	t.p.warn("not said: %s", sentence(err))
	return nil
}

// erase takes a typed line off the terminal, where it has not wrapped.
func (t *talk) erase(text string) {
	if t.p.json || !isTerminal(t.p.sys.In) || uniseg.StringWidth(text) >= columns(t.p.sys.Out) {
		return
	}
	t.p.out.write(eraseLine)
}

func (t *talk) show(message client.Message) {
	delete(t.away, message.Seq)
	t.p.message(message, "15:04")
}

// problem tells of a problem; one that ends the chat is returned.
func (t *talk) problem(err error) error {
	if errors.Is(err, client.ErrNotInRoom) || errors.Is(err, client.ErrTurnedAway) {
		return err
	}
	t.p.warn("%v", err)
	return nil
}
