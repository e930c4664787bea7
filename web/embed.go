// Package web holds the web app as it was built, for the programs that serve it: the hub
// and keyhall web. Its source is beside it, in TypeScript; node build.mjs (make web) puts
// what browsers load into dist, and what is there when the Go program is compiled becomes
// part of it. A checkout in which nothing was built compiles as well, with an app that is
// empty.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// App is what browsers load: index.html, and the files that it names. It is empty where
// the app was not built.
func App() fs.FS {
	app, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is valid, and fs.Sub asks for no more
	}
	return app
}
