package attack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"keyhall.dev/keyhall/internal/folder"
)

// partName shows the name under which a program keeps TARGET while it is not finished, if
// its content is that of a file: whoever knows the listing can work it out.
func partName(c *call) error {
	if err := c.parse(2, 2); err != nil {
		return err
	}
	content, err := os.ReadFile(c.arg(1))
	if err != nil {
		return err
	}
	tree, err := treeOf(content)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(c.arg(0) + "\x00" + tree.Root().String()))
	report("%s", fmt.Sprintf(`{"part":%q}`, "."+hex.EncodeToString(sum[:12])+folder.PartSuffix))
	return nil
}
