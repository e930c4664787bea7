package event_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// Joe asks the greeter, who answers in joe's own inbox and nowhere else.
func ExampleRequester() {
	nc, stop := connect()
	defer stop()
	ctx := context.Background()

	// One account vouches for both, as nsc does it.
	account := trust.NewKeyPair(trust.Account)
	hire := func(name string) *event.TokenManager {
		key := trust.NewKeyPair(trust.Device)
		claims := jwt.NewUserClaims(key.String())
		claims.Name = name
		access, err := claims.Encode(account.NKey())
		if err != nil {
			log.Fatal(err)
		}
		m, err := event.NewTokenManager(event.Rules{Accounts: []string{account.String()}})
		if err != nil {
			log.Fatal(err)
		}
		if err := m.SignAs(key, access); err != nil {
			log.Fatal(err)
		}
		return m
	}

	greeter := event.NewResponder(nc, hire("greeter"), event.ResponderOptions{})
	if _, err := greeter.Respond(ctx, "services.greet", "greeters", func(_ context.Context, r *event.Received) ([]byte, error) {
		if r.Access.Name == "pam" {
			return nil, &event.Refusal{Reason: "we have met"}
		}
		return []byte("hello " + r.Access.Name), nil
	}); err != nil {
		log.Fatal(err)
	}

	for _, name := range []string{"joe", "pam"} {
		asks, err := event.NewRequester(nc, hire(name), event.RequesterOptions{Answerers: event.Named("greeter")})
		if err != nil {
			log.Fatal(err)
		}
		answer, err := asks.Request(ctx, "services.greet", nil)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: %s\n", answer.Access.Name, answer.Data)
	}
	// Output:
	// greeter: hello joe
	// refused: we have met
}
