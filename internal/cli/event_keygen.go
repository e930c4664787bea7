package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// The files that keygen makes.
const (
	accountFile = "account.nk"
	credsFile   = "user.creds"
	readerFile  = "reader.xk"
)

// madeKeys is what keygen prints with --json. It holds no secret.
type madeKeys struct {
	Account     string    `json:"account"`
	Device      string    `json:"device"`
	Reader      string    `json:"reader"`
	Name        string    `json:"name"`
	Expires     time.Time `json:"expires"`
	AccountSeed string    `json:"account_seed"` // files
	Creds       string    `json:"creds"`
	ReaderSeed  string    `json:"reader_seed"`
}

func (p *program) eventKeygen() *cobra.Command {
	var account, name string
	expires := life(365 * day)
	c := &cobra.Command{
		Use:   "keygen DIR [--account FILE] [--name NAME] [--expires LIFE]",
		Short: "Make the keys with which to publish and to read",
		Long: "Make a new private folder with three files:\n\n" +
			"  " + accountFile + "   the account: who you are. It vouches for your devices; keep it away from\n" +
			"               machines that only publish\n" +
			"  " + credsFile + "   a device: signs events, and logs in to NATS servers that know the account\n" +
			"  " + readerFile + "    an xkey: opens the events of private streams\n\n" +
			"What is printed is public. --account FILE makes a further device of an account that you\n" +
			"have. What a device published while its token was good stays good when that expires.",
		Example: "  keyhall event keygen alice\n" +
			"  keyhall event keygen sensor --account alice/account.nk --expires 30d\n" +
			"  keyhall event keygen bob --json | jq -r .account",
		Args:              needs("DIR"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().StringVar(&account, "account", "", "the seed of an account that you have; none is made then")
	c.Flags().StringVar(&name, "name", "", "the device's name (default that of the folder)")
	c.Flags().Var(&expires, "expires", "how long the device's access token is good")
	_ = c.MarkFlagFilename("account")
	c.RunE = func(_ *cobra.Command, args []string) error {
		made, err := makeKeys(args[0], account, name, time.Duration(expires))
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(made)
			return nil
		}
		p.showKeys(made, account == "")
		return nil
	}
	return c
}

func (p *program) showKeys(made *madeKeys, isNew bool) {
	p.out.line("account  %s", made.Account)
	p.out.line("device   %s", made.Device)
	p.out.line("reader   %s", made.Reader)
	p.out.line("")
	p.out.line("Hand these on: they are public.")
	p.out.line("  to those who are to believe you:   --trust %s", made.Account)
	p.out.line("  to those who keep private streams: --add %s", made.Reader)
	p.out.line("You publish with --creds %s, until %s.", made.Creds, moment(made.Expires))
	if isNew {
		p.out.line("Keep %s where nobody else gets at it: whoever has it is you.", made.AccountSeed)
	}
}

// makeKeys makes a folder with keys, all of it or nothing.
func makeKeys(dir, accountPath, name string, expires time.Duration) (*madeKeys, error) {
	account := trust.NewKeyPair(trust.Account)
	made := &madeKeys{
		AccountSeed: filepath.Join(dir, accountFile), Creds: filepath.Join(dir, credsFile), ReaderSeed: filepath.Join(dir, readerFile),
	}
	files := map[string][]byte{}
	if accountPath == "" {
		files[made.AccountSeed] = append(account.Seed(), '\n')
	} else {
		var err error
		if account, err = readAccount(accountPath); err != nil {
			return nil, err
		}
		made.AccountSeed = accountPath
	}
	if made.Name = name; name == "" {
		made.Name = folderName(dir)
	}
	device, reader := trust.NewKeyPair(trust.Device), trust.NewXKey()
	made.Account, made.Device, made.Reader = account.String(), device.String(), reader.String()
	claims := jwt.NewUserClaims(device.String())
	claims.Name, claims.Expires = made.Name, time.Now().Add(expires).Unix()
	made.Expires = time.Unix(claims.Expires, 0).UTC()
	token, err := claims.Encode(account.NKey())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the access token could not be made: %v", err)
	}
	if files[made.Creds], err = jwt.FormatUserConfig(token, device.Seed()); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the creds file could not be made: %v", err)
	}
	files[made.ReaderSeed] = append(reader.Seed(), '\n')
	return made, writeKeys(dir, files)
}

// folderName is the name of a folder, wherever one stands.
func folderName(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil {
		dir = whole
	}
	return filepath.Base(dir)
}

// writeKeys makes a new private folder with files in it, and leaves nothing behind if one of
// them cannot be written.
func writeKeys(dir string, files map[string][]byte) (err error) {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Taken, err, "%s exists already, and keys go into a new folder; choose another name", dir)
	} else if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	for path, content := range files {
		if err := writePrivate(path, content); err != nil {
			return err
		}
	}
	return nil
}

func writePrivate(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(content).WriteTo(file)
	return errors.Join(err, file.Sync(), file.Close())
}
