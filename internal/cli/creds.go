package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// madeCreds is what creds prints with --json. It holds no secret.
type madeCreds struct {
	Device      string    `json:"device"`
	Creds       string    `json:"creds"`
	Context     string    `json:"context,omitempty"`
	URL         string    `json:"url"`
	InboxPrefix string    `json:"inbox_prefix"`
	Expires     time.Time `json:"expires"`
}

// natsContext is a context of the nats command line (its natscontext package).
type natsContext struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	Creds       string `json:"creds"`
	InboxPrefix string `json:"inbox_prefix"`
}

func (p *program) creds() *cobra.Command {
	var contextName, out string
	var again bool
	expires := life(client.MaxDeviceLife)
	c := &cobra.Command{
		Use:   "creds DEVICE [--context NAME] [--out FILE] [--expires LIFE] [--again]",
		Short: "Make a device for the nats command line and other NATS programs",
		Long: "Add a device of this name and write its creds file, with which any NATS program logs\n" +
			"in to your own account. Such a program must use the inbox prefix that is printed;\n" +
			"--context writes a context for the nats command line that does.\n" +
			"keyhall device revoke ends the device.\n\n" +
			"--again gives a device that you have new creds with another key, and revokes the old\n" +
			"ones first: whoever is connected with them is put out, and not let in again.",
		Example: "  keyhall creds laptop-nats --context hall\n" +
			"  nats --context hall req hub.stats.get '{}'\n" +
			"  keyhall creds laptop-nats --again --expires 1d",
		Args: needs("DEVICE"),
	}
	c.Flags().StringVar(&contextName, "context", "", "also write a nats context of this name")
	c.Flags().StringVar(&out, "out", "", "the creds file (default creds/DEVICE.creds in your profile)")
	c.Flags().BoolVar(&again, "again", false, "revoke the creds that this device has, and make it new ones")
	c.Flags().Var(&expires, "expires", "how long they are good")
	_ = c.MarkFlagFilename("out")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if time.Duration(expires) > client.MaxDeviceLife {
			return wrong(cmd, "--expires is a year at most")
		}
		made, err := p.makeCreds(cmd.Context(), args[0], contextName, out, time.Duration(expires), again)
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(made)
			return nil
		}
		p.out.line("creds         %s", made.Creds)
		if made.Context != "" {
			p.out.line("context       %s", made.Context)
		}
		p.out.line("server        %s", made.URL)
		p.out.line("inbox prefix  %s", made.InboxPrefix)
		p.out.line("good until    %s", moment(made.Expires))
		return nil
	}
	return c
}

// makeCreds takes the places of its files first: a device whose seed could not be written
// would be of no use to anybody.
func (p *program) makeCreds(ctx context.Context, device, contextName, out string, life time.Duration, again bool) (*madeCreds, error) {
	profile, err := p.profile()
	if err != nil {
		return nil, err
	}
	made, err := planCreds(profile, device, contextName, out, again)
	if err != nil {
		return nil, err
	}
	path := made.Creds
	if again {
		path += ".new" // the old ones stand there, and perhaps what an earlier try has left
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	file, err := newPrivateFile(path)
	if err != nil {
		return nil, err
	}
	content, err := p.addDevice(ctx, profile, made, life, again)
	if err == nil {
		_, err = file.Write(content)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil && again {
		err = os.Rename(path, made.Creds)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	if made.Context == "" {
		return made, nil
	}
	if again { // the inbox prefix in it is another now
		if err := os.Remove(made.Context); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return made, writeContext(made, profile.Settings.Handle+" on the Keyhall hub "+profile.Settings.URL)
}

// planCreds checks names and places before anything is made.
func planCreds(profile *client.Profile, device, contextName, out string, again bool) (*madeCreds, error) {
	name, err := trust.Name(device)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the device name %q is %w", device, err)
	}
	made := &madeCreds{Device: name, Creds: out}
	if out == "" {
		made.Creds = filepath.Join(profile.Dir(), "creds", name+".creds")
	}
	if made.Creds, err = filepath.Abs(made.Creds); err != nil {
		return nil, err
	}
	var document api.Document
	if err := json.Unmarshal([]byte(profile.Settings.Document), &document); err != nil || len(document.NATS) == 0 {
		return nil, fault.New(fault.NotFound, "the hub names no NATS address that a program could use")
	}
	made.URL = document.NATS[0]
	if contextName == "" {
		return made, nil
	}
	if contextName, err = trust.Name(contextName); err != nil {
		return nil, fault.New(fault.Malformed, "the context name is %w", err)
	}
	dir, err := natsConfig()
	if err != nil {
		return nil, err
	}
	made.Context = filepath.Join(dir, "context", contextName+".json")
	if _, err := os.Lstat(made.Context); err == nil && !again {
		return nil, fault.New(fault.Taken, "the nats context %s exists already; choose another name", made.Context)
	}
	return made, nil
}

// natsConfig is where the nats command line keeps its contexts, on every system.
func natsConfig() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "nats"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "your home folder is not known, where the nats command line keeps its contexts")
	}
	return filepath.Join(home, ".config", "nats"), nil
}

// addDevice adds the device and gives the content of its creds file.
func (p *program) addDevice(ctx context.Context, profile *client.Profile, made *madeCreds, life time.Duration, again bool) ([]byte, error) {
	c, err := client.Connect(ctx, profile)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	add := c.AddDeviceFor
	if again {
		add = c.ReissueDevice
	}
	token, key, err := add(ctx, made.Device, life)
	if err != nil {
		return nil, err
	}
	made.InboxPrefix, made.Expires = trust.InboxPrefix(key.Public()), token.Expires.UTC()
	return jwt.FormatUserConfig(token.Text, key.Seed())
}

func newPrivateFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.Wrap(fault.Taken, err, "the file %s exists already; choose another device name, or --out", path)
	}
	return file, err
}

func writeContext(made *madeCreds, description string) error {
	content, err := json.MarshalIndent(natsContext{description, made.URL, made.Creds, made.InboxPrefix}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode context: %w", err)
	}
	file, err := newPrivateFile(made.Context)
	if err != nil {
		return err
	}
	_, err = file.Write(append(content, '\n'))
	return errors.Join(err, file.Close())
}
