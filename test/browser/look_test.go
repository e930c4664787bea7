package browser_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// axe is the source of axe-core, which judges whether everybody can use a page.
func axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Skipf("the packages of web are not there (npm ci in web): no page was judged: %v", err)
	}
	return string(source)
}

type violation struct {
	ID, Help string
	Nodes    []struct {
		HTML           string
		FailureSummary string
	}
}

// judge has axe judge a page by day and by night, and takes a picture of each. By night only what the colours
// change is judged again.
func judge(t *testing.T, page *chromiumtest.Page, source, name string) {
	t.Helper()
	for theme, rules := range map[string]string{"light": `{}`, "dark": `{ runOnly: ["color-contrast"] }`} {
		page.Theme(theme)
		page.Isolated(source)
		said := page.InIsolation(`axe.run(document, ` + rules + `).then(({ violations }) => JSON.stringify(violations))`)
		var found []violation
		if err := json.Unmarshal([]byte(said), &found); err != nil {
			t.Fatalf("%s: axe says %q: %v", name, said, err)
		}
		for _, v := range found {
			var where []string
			for _, node := range v.Nodes {
				where = append(where, fmt.Sprintf("%s\n%s", node.HTML, node.FailureSummary))
			}
			t.Errorf("%s, %s: %s (%s):\n%s", name, theme, v.Help, v.ID, strings.Join(where, "\n"))
		}
		page.Shot(filepath.Join(pictures, name+"-"+theme+".png"))
		if wide := chromiumtest.Eval[int](page, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
			t.Errorf("%s, %s: it is %d pixels wider than the window", name, theme, wide)
		}
	}
}
