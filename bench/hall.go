//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// hall is a hub and two members, each program in a process of its own.
type hall struct {
	stage      *stage
	hub        *process
	alice, bob *member
}

// member is somebody with a profile.
type member struct {
	stage   *stage
	home    string
	handle  string
	account string
}

// upReady is what keyhall up says once it accepts members.
type upReady struct {
	HTTP   string `json:"http"`
	NATS   string `json:"nats"`
	Invite string `json:"invite"`
}

func openHall(ctx context.Context, s *stage) (*hall, error) {
	h := &hall{stage: s}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// open starts the hub and has two people join it.
func (h *hall) open(ctx context.Context) (err error) {
	s := h.stage
	h.hub, err = start(ctx, nil, s.binary, upArgs(s.path("hub"), "127.0.0.1:0", "127.0.0.1:-1")...)
	if err != nil {
		return err
	}
	line, err := h.hub.firstLine(ctx)
	if err != nil {
		return err
	}
	var ready upReady
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		return err
	}
	if h.alice, err = s.join(ctx, "alice", ready.HTTP, ready.Invite); err != nil {
		return err
	}
	var invite struct{ Code string }
	if err := h.alice.object(ctx, &invite, "invite"); err != nil {
		return err
	}
	h.bob, err = s.join(ctx, "bob", ready.HTTP, invite.Code)
	return err
}

func upArgs(data, http, nats string) []string {
	return []string{"up", "--json", "--data", data, "--http", http, "--nats", nats}
}

func (h *hall) close() error {
	if h.hub == nil {
		return nil
	}
	return h.hub.stop()
}

func (s *stage) join(ctx context.Context, handle, hub, code string) (*member, error) {
	m := &member{stage: s, home: s.path(handle), handle: handle}
	if _, err := m.keyhall(ctx, "join", hub, "--invite", code, "--handle", handle); err != nil {
		return nil, err
	}
	var who struct{ Account string }
	err := m.object(ctx, &who, "whoami")
	m.account = who.Account
	return m, err
}

func (m *member) env() []string { return []string{"KEYHALL_HOME=" + m.home} }

// keyhall runs a command to its end, as this member.
func (m *member) keyhall(ctx context.Context, args ...string) (*finished, error) {
	return finish(ctx, m.env(), m.stage.binary, args...)
}

// object runs a command with --json and reads the last object that it prints.
func (m *member) object(ctx context.Context, to any, args ...string) error {
	done, err := m.keyhall(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(done.output), "\n")
	return json.Unmarshal([]byte(lines[len(lines)-1]), to)
}

// offer makes a catalog of a folder of alice's and gives it to bob. It returns its id.
func (h *hall) offer(ctx context.Context, name, dir string) (id string, err error) {
	var report struct{ Catalog struct{ ID string } }
	if err := h.alice.object(ctx, &report, "catalog", "add", name, dir); err != nil {
		return "", err
	}
	if _, err := h.alice.keyhall(ctx, "share", name, "bob"); err != nil {
		return "", err
	}
	_, err = h.bob.keyhall(ctx, "accept", "alice/"+name)
	return report.Catalog.ID, err
}

// serve has alice serve a catalog, and returns when bob can list it.
func (h *hall) serve(ctx context.Context, name string) (*process, error) {
	p, err := start(ctx, h.alice.env(), h.stage.binary, "serve", "--quiet", name)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(startTime); ; {
		_, err := h.bob.keyhall(ctx, "ls", "alice/"+name)
		if err == nil {
			return p, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, errors.Join(err, p.stop())
		}
		time.Sleep(100 * time.Millisecond)
	}
}
