import { useState } from "preact/hooks";
import type { Known, Person } from "../../model.ts";
import { announce, Avatar, Banner, Button, Code, Dialog, Ends, Show, Trust, useLoad, useTask, Words } from "../parts/index.ts";

const meaning: Record<Known["trust"], string> = {
  self: "This is you, as others see you.",
  verified: "You have compared words: this key is theirs.",
  introduced: "A chain of invites leads from you to them. Their key is whom those people say; words make sure.",
  unverified: "You know them only through the hub. It could have made them up: compare words before you share what matters.",
};

/** Verify shows somebody: how far their key can be relied on, and the words that both see. */
export function Verify({ person, known, onClose, onPinned }: { person: Person; known: Known; onClose(): void; onPinned(): Promise<void> }) {
  return (
    <Dialog title={known.handle} onClose={onClose}>
      <div class="person-head">
        <Avatar account={known.account} handle={known.handle} size="large" />
        <div class="stack" data-gap="tight">
          <div>
            <Trust known={known} />
          </div>
          <p>{meaning[known.trust]}</p>
        </div>
      </div>
      {known.changed !== undefined && (
        <Banner kind="problem">
          <p>{known.changed}</p>
          <p>Ask them, by another way than this hall, whether they know of it. Compare the words only then.</p>
        </Banner>
      )}
      <Code text={known.account} label="Account key" />
      {known.trust === "self" ? <Own person={person} onClose={onClose} /> : <Compare person={person} known={known} onClose={onClose} onPinned={onPinned} />}
    </Dialog>
  );
}

function Own({ person, onClose }: { person: Person; onClose(): void }) {
  return (
    <>
      <h3>Your fingerprint</h3>
      <Words words={person.fingerprint} label="Your fingerprint" />
      <Ends>
        <Button onClick={onClose}>Close</Button>
      </Ends>
    </>
  );
}

function Compare({ person, known, onClose, onPinned }: { person: Person; known: Known; onClose(): void; onPinned(): Promise<void> }) {
  const words = useLoad(() => person.people.words(known.account), [known.account]);
  const [differ, say] = useState(false);
  const task = useTask();
  const pin = () =>
    task.run(async () => {
      await person.people.pin(known.account);
      announce(`${known.handle} is verified.`);
      await onPinned();
      onClose();
    });
  return (
    <>
      <h3>Words to compare</h3>
      <p class="quiet small">Meet, or call: they open your name on their People page and see the same eight words, if nobody stands between you.</p>
      <Show loaded={words} bones={<div class="bone-words" />}>
        {(text) => <Words words={text} />}
      </Show>
      {differ && <Banner kind="problem">Then somebody stands between you, or one of you has another {known.handle} in mind. Share nothing with this key, and tell your host.</Banner>}
      {task.problem && <Banner kind="problem">{task.problem}</Banner>}
      <Ends>
        {known.trust === "verified" && known.changed === undefined ? (
          <Button onClick={onClose}>Close</Button>
        ) : (
          <>
            <Button kind="danger-quiet" onClick={() => say(true)}>
              They differ
            </Button>
            <Button kind="primary" icon="shield" busy={task.busy} disabled={words.value === undefined} onClick={() => void pin()}>
              They are the same
            </Button>
          </>
        )}
      </Ends>
    </>
  );
}
