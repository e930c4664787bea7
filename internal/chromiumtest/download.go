package chromiumtest

import (
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/target"
)

// DownloadsTo has what the page saves go into a folder, under the name that it is saved by.
func (p *Page) DownloadsTo(dir string) {
	p.t.Helper()
	found, err := call(p, target.GetTargetInfo, target.GetTargetInfoParams{})
	p.must("find the profile", err)
	_, err = call(p, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: found.TargetInfo.BrowserContextID, DownloadPath: dir,
	})
	p.must("save downloads", err)
}
