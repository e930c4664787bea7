package sample

import (
	"bytes"
	"fmt"
	"strings"
)

// readMe is what stands beside the samples.
const readMe = `These are samples.

The pictures were drawn, the sounds computed and the film made, picture by picture, by
Keyhall itself. Nobody took them, and they may be given to anybody.

In a catalog of your own stands what you have: a folder on your machine, as it is. Nothing
of it is uploaded. Somebody you share it with sees what is in it and opens what they like,
and each piece leaves your machine sealed for that person, while you serve it.

Things to try:

  - Open the film and go to the last seconds of it. The time on the shore says where you are.
  - Open a picture, then the next one.
  - Stop the program that serves this catalog, and look at it again.
`

// keeper is a text with nothing in it but words.
const keeper = `# The keeper

The keeper of the lighthouse wrote down each evening what had passed: two trawlers, one
coaster, a yacht whose sail had a patch. He wrote no names, for names are the business of
harbours.

One winter a clerk came and asked for the book. The keeper gave it to him. The clerk read
all night, and in the morning he said: "There is nothing in it."

"There is all that I saw," said the keeper.
`

// letter is what stands on the paper.
var letter = []string{
	"Dear friend,",
	"",
	"this paper was written by a program, line by line, as paper is: a page,",
	"a font that every reader has, and a drawing of the sun over the sea.",
	"",
	"If you can read it, it came to you sealed, from the machine of somebody",
	"who shares it with you, and was opened in your own browser.",
	"",
	"Yours,",
	"Keyhall",
}

// PDF sets lines of plain ASCII on a page under a drawing.
func PDF(lines []string) []byte {
	var page strings.Builder
	page.WriteString("0.98 0.62 0.38 rg 72 560 451 200 re f\n0.19 0.17 0.36 rg 72 560 451 70 re f\n")
	page.WriteString("1 0.89 0.67 rg " + circle(380, 640, 34) + " f\n0.19 0.17 0.36 rg 72 560 451 60 re f\n")
	page.WriteString("0.15 g BT /F1 14 Tf 20 TL 72 510 Td\n")
	for _, line := range lines {
		fmt.Fprintf(&page, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(line))
	}
	page.WriteString("ET\n")
	return document(
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
}

// circle is a path of four curves.
func circle(x, y, r float64) string {
	k := r * .5523
	return fmt.Sprintf("%g %g m %g %g %g %g %g %g c %g %g %g %g %g %g c %g %g %g %g %g %g c %g %g %g %g %g %g c",
		x+r, y, x+r, y+k, x+k, y+r, x, y+r, x-k, y+r, x-r, y+k, x-r, y, x-r, y-k, x-k, y-r, x, y-r, x+k, y-r, x+r, y-k, x+r, y)
}

// document is a PDF file of objects, the first of which is its root.
func document(objects ...string) []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.4\n")
	var places []int
	for i, object := range objects {
		places = append(places, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	at := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, place := range places {
		fmt.Fprintf(&out, "%010d 00000 n \n", place)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, at)
	return out.Bytes()
}
