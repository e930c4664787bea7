package accounts

// What is tested of the inside: the claims, and which servers are safe.
var (
	Compose      = compose
	SameAccount  = sameAccount
	CheckVersion = checkVersion
)
