package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// web sends bytes to the hub's HTTP port that no client would, and shows the answer. Its
// argument is Go-quoted.
func web(c *call) error {
	long := c.flags.String("head", "", "a file whose content becomes a header at the end")
	if err := c.parse(2, 2); err != nil {
		return err
	}
	origin, err := url.Parse(c.arg(0))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	request, err := strconv.Unquote(c.arg(1))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *long != "" {
		content, err := os.ReadFile(*long)
		if err != nil {
			return err
		}
		request += "Long: " + strings.TrimSpace(string(content)) + "\r\n\r\n"
	}
	conn, err := net.Dial("tcp", origin.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fmt.Errorf("%w: no answer: %w", errRefused, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		report("status %s", response.Status)
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	report("status %s\n%v\n%s", response.Status, response.Header, body)
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%w: status %s", errRefused, response.Status)
	}
	return nil
}

// crowd opens N sockets to a port of the hub's until it is interrupted: to its HTTP port, on
// each of which it begins a request that it never ends, or to its NATS port, and says nothing.
func crowd(c *call) error {
	if err := c.parse(2, 2); err != nil {
		return err
	}
	count, err := strconv.Atoi(c.arg(0))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	origin, err := url.Parse(c.arg(1))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	for range count {
		conn, err := net.Dial("tcp", origin.Host)
		if err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		defer conn.Close()
		if origin.Scheme != "http" {
			continue
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nSlow: "); err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	report("%d sockets", count)
	<-c.ctx.Done()
	return nil
}
