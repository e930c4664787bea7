package vectors_test

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// everyBit is up to which length all bits of a vector are flipped, and not one of each byte.
const everyBit = 64

// guarded are bytes of a vector that a signature, a tag, a hash or a checksum guards.
type guarded struct {
	name string
	data []byte
	take func(data []byte) error // nil: taken; errSame: taken, and it means what the vector means

	// excused says why a flip must be taken as the same, for the few that must.
	excused func(at int, bit byte) string
}

var errSame = errors.New("taken, and the same")

// flip flips the bytes one by one and returns the excuses that were needed.
func (g guarded) flip(t *testing.T) map[string]bool {
	t.Helper()
	needed := make(map[string]bool)
	if err := g.take(bytes.Clone(g.data)); err != nil && !errors.Is(err, errSame) {
		t.Fatalf("refused as it is: %v", err)
	}
	for at := range g.data {
		for bit := range 8 {
			if len(g.data) > everyBit && bit != at%8 {
				continue
			}
			data := bytes.Clone(g.data)
			data[at] ^= 1 << bit
			err := g.take(data)
			excuse := ""
			if g.excused != nil {
				excuse = g.excused(at, 1<<bit)
			}
			switch {
			case excuse != "" && errors.Is(err, errSame):
				needed[excuse] = true
			case excuse != "":
				t.Errorf("byte %d, bit %d: %q does not hold: %v", at, bit, excuse, err)
			case err == nil || errors.Is(err, errSame):
				t.Errorf("byte %d, bit %d: taken", at, bit)
			}
		}
	}
	return needed
}

// Why a flip may be taken.
const (
	excuseCase     = "a letter in capitals: readers of a code ignore its case"
	excuseDash     = "a dash becomes a line break: readers of a code skip both"
	excusePosition = "the position in the read: the index and not the position is sealed, and who reads awaits one position"
	excuseSealed   = "body hash and signature: what is sealed is bound to the rest of the token, and they to it"
)

func allGuarded(t *testing.T) []guarded {
	t.Helper()
	return slices.Concat(
		guardedKeys(t), guardedCodes(t), guardedTokens(t), guardedBoxes(t), guardedEvents(t), guardedEpoch(t),
		guardedHandshake(t), guardedBlocks(t), guardedTrees(t),
		guardedAccess(t), guardedBatches(t), guardedJudged(t), guardedMessages(t), guardedRings(t), guardedTrails(t), guardedSignin(t),
	)
}

func guardedKeys(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[keysFile](t, "keys.json").Cases {
		all = append(all, guarded{name: "key of " + c.Name, data: []byte(c.Text), take: func(data []byte) error { return parseKey(c.Kind, string(data)) }})
	}
	for _, c := range load[signaturesFile](t, "signatures.json").Cases {
		if !c.Valid || len(c.Message) == 0 {
			continue
		}
		all = append(all, guarded{name: "signature: " + c.Name, data: slices.Concat(c.Key, c.Signature, c.Message), take: func(data []byte) error {
			if !trust.Verify(trust.PublicKey(data[:32]), data[96:], data[32:96]) {
				return event.ErrSignature
			}
			return nil
		}})
	}
	return all
}

// codeExcuse excuses what readers of a code are told to overlook.
func codeExcuse(code string) func(at int, bit byte) string {
	return func(at int, bit byte) string {
		switch c := code[at]; {
		case bit == 0x20 && c >= 'a' && c <= 'z':
			return excuseCase
		case bit == 0x20 && c == '-':
			return excuseDash
		}
		return ""
	}
}

func guardedCodes(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[invitesFile](t, "invite.json").Cases {
		all = append(all, guarded{name: "invite: " + c.Name, data: []byte(c.Code), excused: codeExcuse(c.Code), take: func(data []byte) error {
			invite, err := trust.ParseInvite(string(data))
			if err == nil && invite.Code() == c.Code {
				return errSame
			}
			return err
		}})
	}
	f := load[recoveryFile](t, "recovery.json")
	code := get(trust.ParseRecovery(f.Code))
	return append(all,
		guarded{name: "recovery code", data: []byte(f.Code), excused: codeExcuse(f.Code), take: func(data []byte) error {
			r, err := trust.ParseRecovery(string(data))
			if err == nil && r.Code() == f.Code {
				return errSame
			}
			return err
		}},
		guarded{name: "sealed backup", data: f.Blob, take: func(data []byte) error { _, err := code.Open(f.Hub, data); return err }},
		guarded{name: "hub of a backup", data: []byte(f.Hub), take: func(data []byte) error { _, err := code.Open(string(data), f.Blob); return err }},
		guarded{name: "backup", data: f.Event, take: func(data []byte) error {
			ev, err := event.Decode(data)
			if err != nil {
				return err
			}
			return ev.CheckRecovery(f.Hub, f.Key)
		}},
	)
}

func guardedTokens(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[tokensFile](t, "device-token.json").Cases {
		all = append(all, guarded{name: "device token: " + c.Name, data: []byte(c.Token), take: func(data []byte) error {
			_, err := trust.ParseDeviceToken(string(data))
			return err
		}})
	}
	f := load[proofFile](t, "hub-proof.json")
	hub := get(trust.ParseHub(f.Hub))
	return append(all,
		guarded{name: "operator JWT", data: []byte(f.Hub), take: func(data []byte) error { _, err := trust.ParseHub(string(data)); return err }},
		guarded{name: "hub proof", data: slices.Concat(f.Challenge, f.Proof, []byte(f.Document)), take: func(data []byte) error {
			return hub.CheckProof([32]byte(data[:32]), data[96:], data[32:96])
		}},
	)
}

func guardedBoxes(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[boxFile](t, "box.json").Cases {
		key := get(trust.ParseXKeySeed([]byte(c.Recipient)))
		all = append(all,
			guarded{name: "box: " + c.Name, data: c.Box, take: func(data []byte) error { _, err := trust.Unbox(key, c.Purpose, c.Context, data); return err }},
			guarded{name: "purpose: " + c.Name, data: []byte(c.Purpose), take: func(data []byte) error { _, err := trust.Unbox(key, string(data), c.Context, c.Box); return err }},
			guarded{name: "context: " + c.Name, data: c.Context, take: func(data []byte) error { _, err := trust.Unbox(key, c.Purpose, data, c.Box); return err }})
	}
	return all
}

func guardedEvents(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[eventsFile](t, "event.json").Cases {
		second := ""
		if c.CoSigner != "" {
			second = get(trust.ParseSeed(trust.Device, []byte(c.CoSigner))).String()
		}
		all = append(all,
			guarded{name: "event " + c.Name, data: c.Compact, take: func(data []byte) error { return checkEvent(data, second) }},
			guarded{name: "event withheld " + c.Name, data: c.Withheld, take: func(data []byte) error {
				ev, err := event.Decode(data)
				if err != nil {
					return err
				}
				if err := ev.CheckWithheld(); err != nil || second == "" {
					return err
				}
				return ev.CheckCoSignature(get(trust.ParsePublicKey(trust.Device, second)))
			}})
	}
	return all
}

func guardedEpoch(t *testing.T) []guarded {
	t.Helper()
	f := load[epochFile](t, "epoch-key.json")
	own, key := get(trust.ParseXKeySeed([]byte(f.Member))), get(event.EpochKeyFrom(f.Key))
	return []guarded{
		{name: "epoch box", data: f.Box, take: func(data []byte) error {
			_, err := event.OpenEpochKey(own, f.Room, [32]byte(f.Commitment), data)
			return err
		}},
		{name: "epoch commitment", data: f.Commitment, take: func(data []byte) error { _, err := event.OpenEpochKey(own, f.Room, [32]byte(data), f.Box); return err }},
		{name: "epoch room", data: []byte(f.Room), take: func(data []byte) error {
			_, err := event.OpenEpochKey(own, string(data), [32]byte(f.Commitment), f.Box)
			return err
		}},
		{name: "room name", data: f.NameBox, take: func(data []byte) error { _, err := key.OpenName(f.Room, data); return err }},
		{name: "sealed event", data: f.Compact, take: func(data []byte) error { return checkEvent(data, "") }},
		{name: "sealed body", data: f.Compact, take: func(data []byte) error { // its signatures apart
			ev, err := event.Decode(data)
			if err != nil {
				return err
			}
			if _, err := ev.Open(key); err != nil {
				return err
			}
			return errSame
		}, excused: func(at int, _ byte) string {
			hashed, sig := 4+16+2*32+3*8+3*32, 4+len(f.Fields.token())
			if (at >= hashed && at < hashed+32) || (at >= sig && at < sig+64) {
				return excuseSealed
			}
			return ""
		}},
	}
}

func guardedHandshake(t *testing.T) []guarded {
	t.Helper()
	f := load[handshakeFile](t, "handshake.json")
	return []guarded{
		{name: "open", data: f.Open, take: func(data []byte) error { _, err := f.judgeOpen(data); return err }},
		{name: "answer", data: f.AnswerMessage, take: func(data []byte) error { _, _, err := f.judgeAnswer(data); return err }},
		{name: "refusal", data: f.RefusalMessage, take: func(data []byte) error { _, _, err := f.judgeAnswer(data); return err }},
	}
}

func guardedBlocks(t *testing.T) (all []guarded) {
	t.Helper()
	f := load[blocksFile](t, "blocks.json")
	keys, transfer := f.keys()
	for i, c := range f.Reads {
		all = append(all, guarded{name: "read " + strconv.Itoa(i), data: c.Message, take: func(data []byte) error { _, err := keys.OpenRead(transfer, data); return err }})
	}
	for _, c := range f.Blocks {
		if c.Message == nil {
			continue
		}
		open := func(data []byte) error {
			_, err := openBlock(keys, transfer, c.Root, c.Size, c.Index, data)
			return err
		}
		all = append(all,
			guarded{name: "block as a reader takes it: " + c.Name, data: c.Message, take: func(data []byte) error {
				reply, err := seal.ParseReply(data)
				if err == nil && (reply.Kind != seal.KindBlock || reply.Position != c.Position) {
					err = seal.ErrMalformed
				}
				if err != nil {
					return err
				}
				return open(data)
			}},
			guarded{name: "block by itself: " + c.Name, data: c.Message, take: func(data []byte) error {
				if err := open(bytes.Clone(data)); err != nil {
					return err
				}
				return errSame // openBlock proved that it is the same data
			}, excused: func(at int, _ byte) string {
				if at == 1 {
					return excusePosition
				}
				return ""
			}})
	}
	for _, c := range f.Refusals {
		all = append(all, guarded{name: "refusal of read", data: c.Message, take: func(data []byte) error { _, err := keys.OpenRefusal(transfer, c.Counter, data); return err }})
	}
	return all
}

func guardedTrees(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[treeFile](t, "tree.json").Cases {
		size := "tree of " + strconv.FormatInt(c.Size, 10)
		last := uint32(len(c.Leaves) - 1) //nolint:gosec // a few
		data := content(int(c.Size))[int(last)*seal.BlockSize:]
		if len(data) > 100 {
			continue // hashing a whole block for each bit takes long; the sizes with short last blocks do
		}
		path := bytes.Join(c.raw(int(last)), nil)
		all = append(all, guarded{name: size, data: slices.Concat(c.Root, path, data), take: func(b []byte) error {
			var list []seal.Hash
			for rest := b[32 : 32+len(path)]; len(rest) > 0; rest = rest[32:] {
				list = append(list, seal.Hash(rest[:32]))
			}
			return seal.Verify(seal.Hash(b[:32]), c.Size, last, b[32+len(path):], list)
		}})
	}
	for _, c := range load[listingFile](t, "listing.json").Cases {
		all = append(all, guarded{name: "listing " + c.Name, data: []byte(c.Text), take: func(data []byte) error {
			whole, err := seal.HashReader(bytes.NewReader(data))
			if err == nil && whole.Root != seal.Hash(c.Root) {
				err = seal.ErrBlock
			}
			return err
		}})
	}
	return all
}

func (c treeCase) raw(index int) [][]byte {
	var out [][]byte
	for _, h := range c.Proofs[index] {
		out = append(out, h)
	}
	return out
}
