// Package client is what a program does on a Keyhall hub as one of its members: join,
// find people, share and fetch, talk in rooms.
//
// A member's keys and what they have verified live in a [Profile], a folder that only they
// can read. [Join] makes one from an invite; [Connect] opens a [Client] with it:
//
//	profile, err := client.OpenProfile(dir)
//	…
//	c, err := client.Connect(ctx, profile)
//	…
//	defer c.Close()
//	err = c.Say(ctx, "general", "hello")
//
// [Client.Get] fetches files to disk; [Client.Open] reads one from anywhere in it while it is
// fetched.
//
// [Client.MakeRecovery] makes a code, for paper, with which [Recover] brings a member back
// whose folder is lost.
//
// A Client believes no hub. Whatever the hub says about people, shares and rooms is
// verified against signed chains before it is used, the newest head seen of every chain
// is kept in the profile, and a hub that shows an older or a different past is reported as
// [ErrFork] and never believed again by accident.
//
// Errors that a person should read carry a sentence for them; test for kinds with
// errors.Is and the variables of this package.
package client
