package natsd_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
)

func TestASecondHubOnTheFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := start(t, quiet(dir))
	startFault(t, quiet(dir), fault.Unavailable, dir, "already running", "stop it")

	if err := first.Announce("http://localhost:8420"); err != nil {
		t.Fatal(err)
	}
	startFault(t, quiet(dir), fault.Unavailable, dir, "already running", "process")

	stop(t, first)
	start(t, quiet(dir))
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	dir := t.TempDir()

	opts := quiet(dir)
	opts.NATS = address
	startFault(t, opts, fault.Unavailable, address, "NATS", "in use")

	opts = quiet(dir)
	opts.WebSocket = address
	startFault(t, opts, fault.Unavailable, address, "WebSocket", "in use")

	start(t, quiet(dir)) // nothing of the failed starts is in the way
}

func TestAPortTakenBeforeListenIsNamed(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	opts := quiet(t.TempDir())
	opts.NATS, opts.DeferListen = address, true
	s := start(t, opts)
	taken, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("the free port is gone:", err)
	}
	defer taken.Close()
	checkFault(t, s.Listen(), fault.Unavailable, address, "NATS", "in use")
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, address := range []string{"4222", "127.0.0.1", "127.0.0.1:nats", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:-2"} {
		opts := quiet(t.TempDir())
		opts.NATS = address
		startFault(t, opts, fault.Malformed, address, "NATS", "host:port")
	}
	opts := quiet(t.TempDir())
	opts.NATS = "192.0.2.1:4222" // TEST-NET-1: no machine has it
	startFault(t, opts, fault.Unavailable, "192.0.2.1:4222", "NATS", "choose another address")
}

func TestNoDataFolderIsRefused(t *testing.T) {
	startFault(t, natsd.Options{}, fault.Malformed, "--data")
}

func TestAFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		folder string // inside the data folder
		begun  bool   // a hub was started there before
	}{
		"data folder":      {".", false},
		"key folder":       {".", true},
		"account folder":   {"jwt", true},
		"server folder":    {"nats", true},
		"JetStream folder": {"nats/jetstream", true},
	} {
		t.Run(name, func(t *testing.T) {
			asOrdinaryUser(t, func(dir string) {
				if c.begun {
					s, err := natsd.Start(context.Background(), quiet(dir))
					if err != nil {
						t.Error(err)
						return
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
				folder := filepath.Join(dir, c.folder)
				if err := os.Chmod(folder, 0o500); err != nil {
					t.Error(err)
					return
				}
				_, err := natsd.Start(context.Background(), quiet(dir))
				checkFault(t, err, fault.Internal, folder, "cannot write", "permission denied", "owner")
			})
		})
	}
}

func TestAKeyThatCannotBeReadIsNamed(t *testing.T) {
	asOrdinaryUser(t, func(dir string) {
		s, err := natsd.Start(context.Background(), quiet(dir))
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		path := filepath.Join(dir, "keys", "hub.nk")
		if err := os.Chmod(path, 0); err != nil {
			t.Error(err)
			return
		}
		_, err = natsd.Start(context.Background(), quiet(dir))
		checkFault(t, err, fault.Internal, path, "cannot be read", "owns it")
	})
}

func TestAFileInPlaceOfAFolderIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jwt")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	startFault(t, quiet(dir), fault.Internal, path, "is a file", "move it away")
}

// TestAServerThatGivesUpIsReported: the server itself moves the store of an account
// from where old versions kept it. It may not here, and says so in its log alone.
func TestAServerThatGivesUpIsReported(t *testing.T) {
	asOrdinaryUser(t, func(dir string) {
		s, err := natsd.Start(context.Background(), quiet(dir))
		if err != nil {
			t.Error(err)
			return
		}
		hub := s.Keys().Hub
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "nats", hub), 0o500); err != nil {
			t.Error(err)
			return
		}
		_, err = natsd.Start(context.Background(), quiet(dir))
		checkFault(t, err, fault.Unavailable, dir, "did not start", "JetStream", "permission denied")
	})
}

func TestACancelledStartLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := filepath.Join(t.TempDir(), "data")
	_, err := natsd.Start(ctx, quiet(dir))
	checkFault(t, err, fault.Unavailable, "cancelled")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestAHealthyHubLogsNothing(t *testing.T) {
	log := &lockedLog{}
	opts := quiet(t.TempDir())
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	stop(t, start(t, opts))
	if log.String() != "" {
		t.Errorf("logged %s", log.String())
	}
}

func TestAnnounceWritesRunJSONAndCloseRemovesIt(t *testing.T) {
	dir := t.TempDir()
	s := start(t, quiet(dir))
	if _, err := natsd.ReadRun(dir); !fault.Is(err, fault.NotFound) {
		t.Errorf("before the announcement: %v", err)
	}
	for range 2 { // a second announcement replaces the first
		if err := s.Announce("http://localhost:8420"); err != nil {
			t.Fatal(err)
		}
	}
	run, err := natsd.ReadRun(dir)
	want := natsd.Run{NATS: s.ClientURL(), WebSocket: s.WebSocketURL(), HTTP: "http://localhost:8420", PID: os.Getpid()}
	if err != nil || run != want {
		t.Errorf("run.json has %+v, %v, want %+v", run, err, want)
	}
	info, err := os.Stat(filepath.Join(dir, "run.json"))
	if err != nil || info.Mode().Perm()&fs.FileMode(0o077) != 0 && os.PathSeparator == '/' {
		t.Errorf("run.json: %v, %v", info, err)
	}
	stop(t, s)
	if _, err := natsd.ReadRun(dir); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAStaleAnnouncementIsRemovedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "run.json", []byte(`{"pid":1}`))
	start(t, quiet(dir))
	if _, err := natsd.ReadRun(dir); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old announcement stands: %v", err)
	}
}

// makeWritable lets the test's own clean-up into folders that were closed.
func makeWritable(dir string) {
	for _, sub := range []string{"", "jwt", "nats", "nats/jetstream"} {
		// Those that do not exist need nothing.
		_ = os.Chmod(filepath.Join(dir, sub), 0o700)
	}
}
