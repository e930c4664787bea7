// Package tools is a module of its own that fixes the versions of the programs that make
// lint runs (go.mod's tool lines), apart from what Keyhall itself depends on.
package tools
