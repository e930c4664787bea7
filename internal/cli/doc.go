// Package cli is the command line, one file per command. It decides nothing about Keyhall:
// it reads arguments, calls package client (or hub, for up), and shows what came of it.
//
// What it promises to people and scripts is in docs/operations.md:
//
//   - The exit status is 0, or 1 with one line on standard error that begins with
//     "keyhall: ", 2 for wrong usage, 3 for what was done in part.
//   - With --json, what is listed comes as one JSON object per line, with names that do
//     not change. Without it, the output is for eyes alone and may change.
//   - What other people wrote never controls the terminal: see clean.go. Everything a
//     command prints goes through printer, which sees to that.
package cli
