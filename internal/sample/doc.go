// Package sample makes things to look at, to listen to and to read: pictures, sound, a film, a paper, texts. All of
// it is drawn and computed here, so that it belongs to nobody else, is small in the program, and is the same
// wherever it is made. keyhall up --demo shows them; tests take the film as long, and as large, as they need it.
//
// The film is H.264 without loss: what moves is moved by whole pixels, what does not fit is sent as it is. It has a
// whole picture every second, so that players go anywhere in it, and its index in front.
package sample

import (
	"os"
	"path/filepath"
)

// Names of what Write makes, relative to its folder, with slashes.
const (
	FilmName    = "film/an evening by the sea.mp4"
	PictureName = "pictures/evening.jpg"
	FLACName    = "sound/a slow chord.flac"
	PaperName   = "words/a letter.pdf"
	TextName    = "words/read me first.txt"
)

// Size says how large the samples are.
type Size struct {
	Wide    int // of the pictures, in pixels
	Seconds int // of the film
}

// Usual is the size for people to look at: some 27 MB.
var Usual = Size{Wide: 1280, Seconds: 60}

// Write makes a folder of samples.
func Write(dir string, size Size) error {
	wide, high := size.Wide, size.Wide*5/8
	made := map[string]func() ([]byte, error){
		PictureName:             func() ([]byte, error) { return JPEG(evening, wide, high) },
		"pictures/morning.jpg":  func() ([]byte, error) { return JPEG(morning, wide, high) },
		"pictures/noon.jpg":     func() ([]byte, error) { return JPEG(noon, wide, high) },
		"pictures/night.png":    func() ([]byte, error) { return PNG(night, wide*3/4, high*3/4) },
		FLACName:                func() ([]byte, error) { return FLAC(chord(12)), nil },
		"sound/a slow bell.wav": func() ([]byte, error) { return WAV(bell(9)), nil },
		PaperName:               func() ([]byte, error) { return PDF(letter), nil },
		TextName:                func() ([]byte, error) { return []byte(readMe), nil },
		"words/the keeper.md":   func() ([]byte, error) { return []byte(keeper), nil },
	}
	for name, make := range made {
		content, err := make()
		if err != nil {
			return err
		}
		if err := place(dir, name, func(path string) error { return os.WriteFile(path, content, 0o600) }); err != nil {
			return err
		}
	}
	return place(dir, FilmName, Film{Seconds: size.Seconds}.WriteFile)
}

// place writes a file below a folder.
func place(dir, name string, write func(path string) error) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return write(path)
}
