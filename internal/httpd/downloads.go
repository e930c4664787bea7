package httpd

import (
	"html/template"
	"net/http"
	"os"
	"strings"
)

var downloadPage = template.Must(template.New("downloads").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Keyhall: downloads</title>
<link rel="stylesheet" href="/page.css">
<main>
  <h1>Downloads</h1>
  {{if .}}<p>What this hub's host offers. Compare its checksum with one you have from a person you trust.</p>
  <ul>{{range .}}<li><a href="/download/{{.Name}}">{{.Name}}</a> ({{.Size}} bytes)</li>{{end}}</ul>
  {{else}}<p>This hub's host offers none. To offer programs, put them into the folder
  <code>downloads</code> beside the hub's data.</p>{{end}}
</main>
</html>
`))

// download is a file that is offered.
type download struct {
	Name string
	Size int64
}

// downloads serves the regular files of a folder, and nothing that lies deeper or outside:
// links are not followed out of it.
func downloads(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/download/")
		root, err := os.OpenRoot(dir)
		if dir == "" || err != nil {
			if name != "" {
				http.NotFound(w, r)
				return
			}
			showDownloads(w, nil)
			return
		}
		defer root.Close() //nolint:errcheck // only read
		if name == "" {
			showDownloads(w, listDownloads(root))
			return
		}
		serveDownload(w, r, root, name)
	})
}

func listDownloads(root *os.Root) []download {
	entries, err := os.ReadDir(root.Name())
	if err != nil {
		return nil
	}
	var offered []download
	for _, entry := range entries {
		info, err := root.Lstat(entry.Name())
		if err == nil && info.Mode().IsRegular() && !strings.HasPrefix(entry.Name(), ".") {
			offered = append(offered, download{entry.Name(), info.Size()})
		}
	}
	return offered
}

func showDownloads(w http.ResponseWriter, offered []download) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = downloadPage.Execute(w, offered) // a reader that went away needs none
}

func serveDownload(w http.ResponseWriter, r *http.Request, root *os.Root, name string) {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
		http.NotFound(w, r)
		return
	}
	file, err := root.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close() //nolint:errcheck // only read
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment")
	http.ServeContent(w, r, name, info.ModTime(), file)
}
