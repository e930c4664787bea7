package chromiumtest

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/chromedp"
)

// WatchRequests notes every request of the page from now on: one to somebody else fails the test. (The policy of the app
// refuses those too, which any page of a test would tell.) It costs what a page receives once more, so films go without.
func (p *Page) WatchRequests() {
	p.t.Helper()
	_, err := call(p, network.Enable, network.EnableParams{})
	p.must("watch requests", err)
}

// Network cuts the page off, with its worker, or brings the network back.
func (p *Page) Network(there bool) {
	p.t.Helper()
	offline := !there
	p.WatchRequests()
	condition := &network.Conditions{DownloadThroughput: -1, UploadThroughput: -1, Offline: offline}
	_, err := call(p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		EmulateOfflineServiceWorker: &offline, MatchedNetworkConditions: []*network.Conditions{condition},
	})
	p.must("network", err)
	_, err = call(p, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1})
	p.must("network", err)
}

// KillWorkers ends the service workers of the page's origin, and returns when they have ended. The
// browser starts them again when they are needed.
func (p *Page) KillWorkers() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	ended := make(chan struct{}, 1)
	p.must("kill workers", chromedp.Listen(ctx, func(event any) {
		updated, is := event.(*serviceworker.EventWorkerVersionUpdated)
		if !is {
			return
		}
		for _, version := range updated.Versions {
			if version.RunningStatus == serviceworker.VersionRunningStatusStopped {
				select {
				case ended <- struct{}{}:
				default:
				}
			}
		}
	}))
	_, err := call(p, serviceworker.Enable, cdp.Empty{})
	p.must("kill workers", err)
	_, err = call(p, serviceworker.StopAllWorkers, cdp.Empty{})
	p.must("kill workers", err)
	select {
	case <-ended:
	case <-ctx.Done():
		p.t.Fatal("the workers do not end")
	}
	_, err = call(p, serviceworker.Disable, cdp.Empty{})
	p.must("kill workers", err)
}

// ClickIn clicks a thing that is inside another, as the button of a dialog.
func (p *Page) ClickIn(role, name, innerRole, innerName string) {
	p.t.Helper()
	p.Eventually(fmt.Sprintf("a %s %q in the %s %q can be clicked", innerRole, innerName, role, name), func() bool {
		outer := p.find(role, name)
		if outer == nil {
			return false
		}
		for _, inner := range p.within(outer, innerRole) {
			if strings.EqualFold(strings.TrimSpace(inner.Name), innerName) && !inner.Disabled() {
				return p.click(inner.node) == nil
			}
		}
		return false
	})
}

// Isolated runs a program beside the page, which sees its elements and shares no script with it: no
// security policy of the page holds it up, and the page does not notice it.
func (p *Page) Isolated(program string) {
	p.t.Helper()
	p.world = p.isolate()
	_, err := p.evalIn(p.world, program)
	p.must("run beside the page", err)
}

// InIsolation is the text to which an expression comes beside the page, after Isolated.
func (p *Page) InIsolation(expression string) string {
	p.t.Helper()
	text, err := p.evalIn(p.world, expression)
	p.must("ask beside the page", err)
	return text
}

func (p *Page) isolate() runtime.ExecutionContextID {
	p.t.Helper()
	tree, err := call(p, page.GetFrameTree, cdp.Empty{})
	p.must("find the frame", err)
	world, err := call(p, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "test"})
	p.must("make a world", err)
	return world.ExecutionContextID
}

func (p *Page) evalIn(world runtime.ExecutionContextID, expression string) (string, error) {
	yes := true
	result, err := call(p, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ContextID: world, ReturnByValue: &yes, AwaitPromise: &yes})
	switch {
	case err != nil:
		return "", err
	case result.ExceptionDetails != nil:
		return "", fmt.Errorf("%s", thrown(result.ExceptionDetails))
	}
	return unquoted(result.Result), nil
}
