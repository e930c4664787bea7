// Package certs is the backend of client certificates: who proves to the server, in the TLS
// handshake, that they hold the key of a certificate gets the role that its names have.
//
// A server says which chains it has verified. The backend believes that the client holds the
// key, and nothing else: it verifies the chain again, against authorities of its own, for
// use by a client, now. So an authority that the server trusts for other ends lets nobody in.
//
// A rule matches a certificate when each pattern in it matches one name of its kind. A
// pattern is a name, label by label, in which a label may be * for any one label:
//
//	cn           labels between dots: ada, *.workers, with capitals as they are
//	dns          labels between dots, in any letters: *.example.org
//	email        the part before @, then labels between dots: *@example.org
//	uri          parts between slashes: spiffe://example.org/*/web
//	fingerprint  SHA-256 of the certificate in hexadecimal, with colons or without; no *
//
// Names on a certificate that are none, a * or a space in a DNS name for instance, match
// nothing. The first rule that matches counts. Where a rule can, it should use the names that
// authorities are restrained in: the constraints of an authority do not hold for cn.
package certs
