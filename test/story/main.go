//go:build unix

// Command story runs what the README tells. It takes the blocks that the README marks from
// the README itself and runs them as they stand: the first starts a hub, the second is
// what two people do on it, in a home folder made for them. Nothing is left afterwards.
//
// It changes one thing, and says so: where the default ports are in use, it takes others.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const longest = 3 * time.Minute // for everything

// expected is what the story must bring to light.
var expected = []string{
	"Welcome, alice", "Welcome, bob", // both are in
	"alice/films", "holiday.mp4", // bob found the share and its files
	"hello bob", "thank you", // they have talked
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "story:", err)
		os.Exit(1) //nolint:gocritic // everything that was started has been stopped
	}
	fmt.Println("story: the README tells the truth")
}

func run(ctx context.Context) (err error) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return fmt.Errorf("run this from the top of the repository: %w", err)
	}
	hub, err := block(string(readme), "hub")
	if err != nil {
		return err
	}
	people, err := block(string(readme), "people")
	if err != nil {
		return err
	}
	stage, err := newStage()
	if err != nil {
		return err
	}
	defer stage.clear()
	people = stage.translate(people)

	server, err := stage.start(ctx, "hub", hub, stage.repository)
	if err != nil {
		return err
	}
	defer func() {
		if stopped := server.stop(); err == nil {
			err = stopped
		}
	}()
	if err := stage.ready(ctx, server); err != nil {
		return err
	}
	story, err := stage.start(ctx, "people", people, stage.work)
	if err != nil {
		return err
	}
	err = story.wait(ctx)
	story.kill() // what it left in the background
	transcript := story.output()
	fmt.Print(transcript)
	if err != nil {
		fmt.Print("--- the hub said:\n", server.output())
		return fmt.Errorf("the story broke off: %w", err)
	}
	return check(transcript)
}

func check(transcript string) error {
	for _, text := range expected {
		if !strings.Contains(transcript, text) {
			return fmt.Errorf("the story went through, but %q never came up", text)
		}
	}
	return nil
}

// block is the fenced block behind the README's marker of a name.
func block(readme, name string) (string, error) {
	marker := "<!-- story: " + name + " -->\n```sh\n"
	_, rest, found := strings.Cut(readme, marker)
	text, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		return "", fmt.Errorf("README.md has no block marked %q", strings.TrimSpace(marker))
	}
	return text + "\n", nil
}

// film is what alice shares.
func film(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "2026"), 0o700); err != nil {
		return err
	}
	scene := []byte("a wave, and another wave, and then the sea is quiet for a while\n")
	content := make([]byte, 0, 5_000_000)
	for i := 0; len(content) < 5_000_000; i++ {
		content = append(fmt.Appendf(content, "%d ", i), scene...)
	}
	if err := os.WriteFile(filepath.Join(dir, "holiday.mp4"), content, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "2026", "read me.txt"), []byte("more to come\n"), 0o600)
}
