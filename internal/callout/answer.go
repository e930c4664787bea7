package callout

import (
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/internal/fault"
)

// refusalText is all that a refused client's server is told.
const refusalText = "login refused"

// issue makes the user JWT for the connection's own key. What a backend grants may be
// anything, also a key that panics.
func (r *respondent) issue(request *Request, grant *Grant) (token string, err error) {
	defer r.contain("issue a grant", &err)
	now := time.Now()
	signer, err := r.signers.of(grant.Signer)
	if err != nil {
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be signed: %s", err)
	}
	claims, err := grant.userClaims(request.UserKey, signer.public, now)
	if err != nil {
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be issued: %s", err)
	}
	results := jwt.CreateValidationResults()
	claims.Validate(results)
	if len(results.Issues) > 0 { // the server takes none, not even a warning
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be issued: %s", results.Issues[0].Description)
	}
	claims.Type, claims.Version = jwt.UserClaim, tokenVersion
	if token, err = signer.token(claims, now); err != nil {
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be signed: %s", err)
	}
	return token, nil
}

// seal makes the answer to a request: signed for the account, sealed to the server. An
// empty JWT makes a refusal.
func (r *respondent) seal(request *Request, userJWT string) ([]byte, error) {
	claims := jwt.NewAuthorizationResponseClaims(request.UserKey)
	claims.Audience = request.Server.ID
	claims.Jwt = userJWT
	if userJWT == "" {
		claims.Error = refusalText
	}
	if r.issuer.public != r.account {
		claims.IssuerAccount = r.account
	}
	claims.Type, claims.Version = jwt.AuthorizationResponseClaim, tokenVersion
	token, err := r.issuer.token(claims, time.Now())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, errDefect, "the answer cannot be signed: %s", err)
	}
	sealed, err := r.boxes.seal([]byte(token), request.Server.xkey)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, errDefect, "the answer cannot be sealed: %s", err)
	}
	if len(sealed) > r.maxAnswer {
		return nil, fault.New(fault.TooLarge, "the answer has %d bytes, the server takes %d", len(sealed), r.maxAnswer)
	}
	return sealed, nil
}
