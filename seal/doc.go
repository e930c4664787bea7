// Package seal is how one file travels from its owner to one reader so that whoever
// carries it learns nothing of it: the tree that names contents, the keys of one
// transfer, the messages under those keys, and the bodies that set a transfer up.
// It is pure: no network, no files, no clock. The bytes are those of
// docs/protocol/transfers.md.
//
// # Content is named by a tree
//
// A file is cut into blocks of [BlockSize] bytes, the last one shorter. [Leaf] hashes a
// block, a [Tree] stands over the leaves as in RFC 6962, and its [Hash] at the root also
// covers the size: a root names exactly one file. With the root from a listing the reader
// was given, [Verify] decides for each single block, by a proof of at most 32 hashes,
// whether it is the block at that place. A reader can therefore take blocks in any order,
// from anyone, resume where it stopped, and never write a byte that does not belong.
// [HashReader] names a stream in one pass and in constant memory but for the leaves.
//
// # A transfer has keys of its own
//
// The reader's signed open event carries a [Request], boxed for the owner; the owner's
// answer carries an [Answer], boxed for the reader's single-use xkey, with a fresh random
// [Key]. From that key and the hash of the open, [DeriveKeys] gives both sides the [Keys]
// of this transfer and no other. Making and judging the two events is the work of package
// event and its callers; this package owns what is inside.
//
// # A read is answered by blocks
//
//	reader                                    owner
//	SealRead(transfer, counter, indexes)  →   ReadTransfer, OpenRead, Window.Accept
//	                                      ←   SealBlock, once for each index
//	                                      ←   an empty message ends the reply
//	ParseReply, OpenBlock, Verify
//
// Reads are sealed as well, because a hub that saw indexes would see what is being
// sought. A [Window] lets each read count once. When the owner can't serve a read it
// answers with one sealed [Reason], or with one in the clear where it does not know the
// transfer: [ParseReply] tells them apart. A reason in the clear proves nothing about who
// wrote it, and a reader treats it as a hint to open again, never as the owner's word.
//
// # What opens is not yet true
//
// [Keys.OpenBlock] proves that the owner's side of this transfer sealed a block; only
// [Verify] proves that it is the content the listing named. Call both, always, in that
// order.
//
// # No copies
//
// A block message is assembled and opened where it lies. [BlockSpace] gives the place in a
// buffer where the data of a block belongs: an owner reads the file right into it and hands
// it to [Keys.SealBlock], a reader passes it to [Keys.OpenBlock] to open in place.
package seal
