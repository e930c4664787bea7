package trust

import "errors"

// ErrSession is the error of a signature that opens no session.
var ErrSession = errors.New("the signature on the challenge does not hold")

// SignSession is a device's answer to a hub's challenge: it opens a session there.
func SignSession(device *KeyPair, hubID string, challenge [32]byte) [64]byte {
	return device.Sign(sessionStatement(hubID, challenge))
}

// CheckSession verifies what SignSession signed. Errors match ErrSession.
func CheckSession(device PublicKey, hubID string, challenge [32]byte, signature []byte) error {
	if !Verify(device, sessionStatement(hubID, challenge), signature) {
		return ErrSession
	}
	return nil
}

func sessionStatement(hubID string, challenge [32]byte) []byte {
	statement := append(Label("session"), hubID...)
	statement = append(statement, 0)
	return append(statement, challenge[:]...)
}
