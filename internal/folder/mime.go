package folder

import (
	"path"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// unknownType is the type of content that says nothing of itself.
const unknownType = "application/octet-stream"

// sniffLen is how many bytes of a file's beginning can matter for its type.
const sniffLen = 4096

// typeOf is the MIME type, without parameters, of the file with this name that begins with
// header (sniffLen bytes, or all of it). The content decides; the extension only makes a
// general type more exact, since anybody can name a file anything.
func typeOf(name string, header []byte) string {
	found := unknownType
	if len(header) > 0 {
		found, _, _ = strings.Cut(mimetype.Detect(header[:min(len(header), sniffLen)]).String(), ";")
	}
	extension := strings.ToLower(path.Ext(name))
	if named := textTypes[extension]; named != "" && (found == "text/plain" || len(header) == 0) {
		return named
	}
	if named := mediaTypes[extension]; named != "" && found == unknownType {
		return named
	}
	return found
}

// textTypes holds what a text is by its extension, under the names of the IANA registry
// where it has one.
var textTypes = map[string]string{
	".bib":      "text/x-bibtex",
	".c":        "text/x-c",
	".conf":     "text/plain",
	".cpp":      "text/x-c++",
	".css":      "text/css",
	".csv":      "text/csv",
	".diff":     "text/x-diff",
	".go":       "text/x-go",
	".h":        "text/x-c",
	".htm":      "text/html",
	".html":     "text/html",
	".ics":      "text/calendar",
	".java":     "text/x-java",
	".js":       "text/javascript",
	".json":     "application/json",
	".log":      "text/plain",
	".m3u":      "audio/mpegurl",
	".m3u8":     "application/vnd.apple.mpegurl",
	".markdown": "text/markdown",
	".md":       "text/markdown",
	".mjs":      "text/javascript",
	".patch":    "text/x-diff",
	".py":       "text/x-python",
	".rs":       "text/x-rust",
	".rst":      "text/x-rst",
	".sh":       "application/x-sh",
	".sql":      "application/sql",
	".srt":      "application/x-subrip",
	".svg":      "image/svg+xml",
	".tex":      "text/x-tex",
	".toml":     "application/toml",
	".tsv":      "text/tab-separated-values",
	".txt":      "text/plain",
	".vcf":      "text/vcard",
	".vtt":      "text/vtt",
	".yaml":     "application/yaml",
	".yml":      "application/yaml",
}

// mediaTypes holds media that may lack a signature at their beginning.
var mediaTypes = map[string]string{
	".aac":  "audio/aac",
	".flac": "audio/flac", // with one block of metadata it begins otherwise than most
	".m2ts": "video/mp2t",
	".mp3":  "audio/mpeg",
	".mpg":  "video/mpeg",
	".mts":  "video/mp2t",
	".opus": "audio/ogg",
}
