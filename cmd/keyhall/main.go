// Command keyhall is a Keyhall hub and a member's way to use one.
package main

import (
	"os"

	"keyhall.dev/keyhall/internal/cli"
)

func main() { os.Exit(cli.Main()) }
