package attack

import (
	"fmt"
	"net/http"
)

// socket opens the hub's WebSocket as a page of some origin in a member's browser would.
func socket(c *call) error {
	origin := c.flags.String("origin", "", "the origin of the page; none for a program")
	cookie := c.flags.String("cookie", "", "the session's cookie that the browser brings; none for nobody's")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.arg(0)+"/nats", nil)
	if err != nil {
		return err
	}
	request.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	if *cookie != "" {
		request.Header.Set("Cookie", "keyhall_session="+*cookie)
	}
	if *origin != "" {
		request.Header.Set("Origin", *origin)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("%w: status %d", errRefused, response.StatusCode)
	}
	report("open")
	return nil
}
