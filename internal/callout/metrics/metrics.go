// Package metrics counts what a callout decides, for Prometheus: how many logins ended how,
// and how long that took, by backend and outcome. Labels hold no names of people, and have a
// bounded number of values.
package metrics

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
)

const (
	prefix      = "keyhall_callout_"
	maxBackends = 16 // that have a label of their own
	nobody      = "none"
	others      = "other"
)

// outcomes are those that have a label of their own.
var outcomes = []callout.Outcome{
	callout.Allowed, callout.Refused, callout.Disproved, callout.Throttled, callout.Shed, callout.Late, callout.Malformed, callout.Failed,
}

// Metrics are the figures of one callout.
type Metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	took      *prometheus.HistogramVec
	waited    prometheus.Histogram
	closed    *prometheus.CounterVec
	unclosed  prometheus.Counter

	mu       sync.Mutex
	backends map[string]bool
}

// New makes metrics that have counted nothing.
func New() *Metrics {
	labels := []string{"backend", "outcome"}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		backends: make(map[string]bool),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "decisions_total", Help: "Logins decided, by backend and outcome.",
		}, labels),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "decision_seconds", Help: "Time from hearing a login to its answer, by backend and outcome.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13), // 0.1 ms to 6 s
		}, labels),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "waited_seconds", Help: "Time that logins waited for their backend's turn.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
		}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "closed_total", Help: "Connections closed because a right ended, by who wanted it: host, rights or rules.",
		}, []string{"by"}),
		unclosed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "close_failures_total", Help: "Connections that were to be closed and could not be.",
		}),
	}
	m.registry.MustRegister(m.decisions, m.took, m.waited, m.closed, m.unclosed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Decided counts a decision. It fits callout.Config.Decided.
func (m *Metrics) Decided(d callout.Decision) {
	backend, outcome := m.backend(d.Backend), outcomeOf(&d)
	m.decisions.WithLabelValues(backend, outcome).Inc()
	m.took.WithLabelValues(backend, outcome).Observe(d.Duration.Seconds())
	m.waited.Observe(d.Waited.Seconds())
}

// Closed counts connections that were closed. It fits registry.Options.Closed.
func (m *Metrics) Closed(c audit.Closed) {
	by := others
	switch c.By {
	case audit.ByHost, audit.ByRights, audit.ByRules:
		by = c.By
	}
	m.closed.WithLabelValues(by).Add(float64(len(c.Closed) + c.More))
	m.unclosed.Add(float64(c.Failed))
}

// InFlight has the number of logins that are being worked on shown.
func (m *Metrics) InFlight(count func() int) {
	m.gauge("in_flight", "Logins that are being worked on.", count)
}

// Sessions has the number of connections that are known shown.
func (m *Metrics) Sessions(count func() int) {
	m.gauge("sessions", "Connections that the callout has let in and knows of.", count)
}

// AuditLost has the number of entries that the audit lost shown.
func (m *Metrics) AuditLost(count func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: prefix + "audit_lost_total", Help: "Entries of the audit that were lost.",
	}, func() float64 { return float64(count()) }))
}

func (m *Metrics) gauge(name, help string, count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help},
		func() float64 { return float64(count()) }))
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// backend is a backend's label: configuration names them, and still there are only so many.
func (m *Metrics) backend(name string) string {
	if name == "" {
		return nobody
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.backends[name] {
		if len(m.backends) >= maxBackends {
			return others
		}
		m.backends[name] = true
	}
	return name
}

func outcomeOf(d *callout.Decision) string {
	for _, known := range outcomes {
		if d.Outcome == known {
			return string(known)
		}
	}
	return others
}
