package folder

import (
	"fmt"
	"os"
	"path/filepath"
)

// Save writes the index to the file name, readable by its owner alone. Whoever reads name,
// now or after a loss of power, finds the old index or the new one, whole.
func (x *Index) Save(name string) error {
	if err := replace(name, x.Encode()); err != nil {
		return fmt.Errorf("save index: %w", err)
	}
	return nil
}

// replace puts data in the place of the file name, through a file beside it.
func replace(name string, data []byte) (err error) {
	dir := filepath.Dir(name)
	temp, err := os.CreateTemp(dir, ".index-*"+PartSuffix) // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(data); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// Load reads what Save wrote. The error matches fs.ErrNotExist where there is no file, and
// ErrDamaged or ErrVersion where it is of no use; in all three cases Scan without a previous
// index makes a new one.
func Load(name string) (*Index, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("load index: %w", err)
	}
	x, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("load index: %w", err)
	}
	return x, nil
}
