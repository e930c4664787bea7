// Package oidc decides logins with the tokens of an identity provider: the JWTs that OpenID
// Connect calls ID tokens and OAuth 2 calls access tokens. A client sends one as its password,
// with any user, or as its token (nats.Token, or the cookie of a browser). What stands in the
// user field is nobody's word and is not looked at.
//
// A configuration that lets engineers in, and everybody else of the house read the news:
//
//	name: staff
//	issuer: https://id.example.com/realms/house # exactly as in the tokens' iss
//	audience: nats                              # what the tokens' aud names us
//	rules:
//	- name: engineers
//	  when: [{claim: realm_access.roles, contains: engineer}, {claim: mfa, is: true}]
//	  role: engineer
//	- name: house
//	  when: [{domain: example.com}]
//	  grant: {account: APP, permissions: {sub: {allow: [news.>]}}, life: 15m}
//
// # What is checked, and against whom
//
// Signatures are verified by go-jose. What may be verified, with which key, and what the
// claims have to say is decided here, because a library's defaults serve everybody: RFC 8725
// tells how tokens were forged where a check was missing.
//
//   - Form. Three parts of unpadded base64url that decode in one way only, of at most 16 KiB
//     together; JSON objects without a member twice, without texts that are not Unicode and
//     without deep nesting. Two readers of one token must not see two tokens.
//   - Algorithm. One of those configured, never "none", never a symmetric one: the provider's
//     public key would be the secret (HS256 with an RSA key). The key's type, its own alg, use
//     and key_ops must fit the token's alg.
//   - Key. Only keys that the issuer's own discovery document leads to. A key or an address in
//     the token's header (jwk, jku, x5c, x5u) is an attacker's, and is not followed. Not used
//     are keys for encryption, RSA below 2048 or above 8192 bits, symmetric keys, keys
//     published with their private part, and two different keys of one id. A token without a
//     kid is taken where the provider publishes one key for its alg and no more.
//   - Header. crit, b64, cty, enc and zip are refused: they change what the rest means. typ is
//     JWT, at+jwt or absent; a logout token or a signed event of the same provider is no login.
//   - Issuer. iss is the configured URL, byte for byte, and so is the discovery document's.
//   - Audience. aud has one of ours: a token that somebody gave to another service does not
//     open this one. With several audiences azp has to name the client; where ClientID is
//     configured, azp and client_id must be it.
//   - Time. exp and iat are required; exp, nbf and iat are held against the clock with Skew.
//     A token that lives longer than MaxLife is refused: it cannot be taken back.
//   - Kind. A claim events makes a token a security event (a logout token among them), a claim
//     cnf binds it to a key that a login here cannot prove; both are refused.
//
// # Who somebody is
//
// The name is the claim sub: of all claims it alone is promised to be unique and never given
// to somebody else (OpenID Connect Core, 5.7). A preferred_username or an e-mail address may
// be changed by its owner, to what another person was called; who configures one of them
// trusts the provider not to allow that. An e-mail address counts, as name, in rules and in
// {{claim(email)}}, only while email_verified is true. Where several providers, or a users
// file beside one, put people into the same account, NamePrefix keeps their names, and so
// their inboxes, apart.
//
// # What somebody may
//
// Rules lead from claims to a role; the first that matches counts. A claim of another type
// than a condition is about never matches: the text "admin" is no list that contains it, and
// the text "true" is not true. A token that no rule matches is refused, and not as a wrong
// proof: its bearer proved who they are.
//
// A connection ends with its token, or with the role's life, whichever is earlier.
//
// # The provider's keys
//
// Keys are fetched when the first login needs them (or by Ready) and then kept fresh in the
// background: as long as the provider's Cache-Control says, but a minute at least and an
// hour at most. A login whose key is known waits for no provider, however slow. A token of
// an unknown key makes one fetch, shared by all who wait for it, and no more than one in ten
// seconds: made-up key ids neither hammer the provider nor fill the callout. A key that the
// provider no longer publishes counts no more. While the provider does not answer, the last
// known keys count for Outage.
//
// The provider is believed about its keys and nothing else, and is not trusted to behave:
// every answer has a bound in bytes and in time, is not decompressed, and leads nowhere else:
// redirects are refused, and so are addresses without TLS, but for a provider on loopback. A
// proxy is taken from the environment (HTTPS_PROXY), as everywhere.
//
// # What it leaves to others
//
// A bearer token opens the door for whoever holds it: the way to the NATS server needs TLS.
// NATS takes no CONNECT above max_control_line (4 KiB unless configured), and closes the
// connection of a client with a longer token before anybody is asked.
package oidc
