package signin

import (
	"context"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/throttle"
	"keyhall.dev/keyhall/trust"
)

type askRequest struct {
	Link string `json:"link"`
	Ask  []byte `json:"ask"`
}

type awaitAnswer struct {
	Answer []byte `json:"answer,omitempty"`
}

// askLink puts what a new device asks where the person's device looks for it.
func (s *Service) askLink(v *visit) (any, error) {
	request, err := read[askRequest](v)
	if err != nil {
		return nil, err
	}
	if err := checkLink(request.Link); err != nil {
		return nil, err
	}
	if len(request.Ask) == 0 || len(request.Ask) > maxAsk {
		return nil, fault.New(fault.TooLarge, "what is asked has 1 to %d bytes", maxAsk)
	}
	return none{}, s.links.put(request.Link, request.Ask, throttle.Subscriber(v.from.String()))
}

// awaitLink waits for the answer, for a while.
func (s *Service) awaitLink(v *visit) (any, error) {
	request, err := read[api.LinkRequest](v)
	if err != nil {
		return nil, err
	}
	if err := checkLink(request.Link); err != nil {
		return nil, err
	}
	leave, ok := s.paces.wait(v.from)
	if !ok {
		return nil, &throttle.TooSoon{Wait: waitTime}
	}
	defer leave()
	ctx, cancel := context.WithTimeout(v.Context(), waitTime)
	defer cancel()
	answer, err := s.links.await(ctx, request.Link)
	return awaitAnswer{answer}, err
}

// takeLink hands what was asked to the person's device.
func (s *Service) takeLink(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.LinkRequest](data)
	if err != nil {
		return nil, err
	}
	if err := checkLink(request.Link); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	return api.LinkAsked{Ask: s.links.asked(ctx, request.Link)}, nil
}

// answerLink puts the answer of the person's device.
func (s *Service) answerLink(_ context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.LinkAnswer](data)
	if err != nil {
		return nil, err
	}
	if err := checkLink(request.Link); err != nil {
		return nil, err
	}
	if len(request.Answer) == 0 || len(request.Answer) > maxAnswer {
		return nil, fault.New(fault.TooLarge, "an answer has 1 to %d bytes", maxAnswer)
	}
	return api.Done{}, s.links.respond(request.Link, request.Answer)
}

func checkLink(id string) error {
	if _, err := trust.ParseID(id); err != nil {
		return fault.New(fault.Malformed, "a link has an id")
	}
	return nil
}
