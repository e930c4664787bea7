import { useState } from "preact/hooks";
import type { Known, Person } from "../../model.ts";
import { Avatar, BoneRows, Button, Empty, Field, Icon, Page, sentence, Show, Trust, useLoad } from "../parts/index.ts";
import { MakeInvite } from "./invite.tsx";
import { Verify } from "./verify.tsx";

/** PeoplePage shows who is here, and how far their keys can be relied on. */
export function PeoplePage({ person }: { person: Person }) {
  const people = useLoad(() => person.people.list());
  const [inviting, invite] = useState(false);
  const [opened, open] = useState<Known>();
  const button = (
    <Button kind="primary" icon="plus" onClick={() => invite(true)}>
      Invite somebody
    </Button>
  );
  return (
    <Page title="People" lead="Who is in this hall. Compare words with somebody once, and no hub can pass off another key as theirs." ends={button}>
      <Show loaded={people} bones={<BoneRows count={4} label="Loading the people" />}>
        {(all) => <List person={person} people={all} open={open} invite={() => invite(true)} />}
      </Show>
      {inviting && <MakeInvite people={person.people} onClose={() => invite(false)} />}
      {opened && <Verify person={person} known={opened} onClose={() => open(undefined)} onPinned={() => people.again()} />}
    </Page>
  );
}

const order: Record<Known["trust"], number> = { self: 0, verified: 1, introduced: 2, unverified: 3 };

function List({ person, people, open, invite }: { person: Person; people: readonly Known[]; open(known: Known): void; invite(): void }) {
  const [sought, seek] = useState("");
  const sorted = [...people].sort((a, b) => Number(b.changed !== undefined) - Number(a.changed !== undefined) || order[a.trust] - order[b.trust] || a.handle.localeCompare(b.handle));
  const found = sorted.filter((known) => known.handle.toLowerCase().includes(sought.trim().toLowerCase()));
  if (people.every((known) => known.trust === "self")) {
    return (
      <Empty icon="people" title="Nobody else is here yet" ends={<Button onClick={invite}>Make an invite</Button>}>
        Send somebody an invite: they open the link, choose a name, and are here.
      </Empty>
    );
  }
  return (
    <>
      {people.length > 7 && <Field label="Find somebody" type="search" autoComplete="off" autoCapitalize="none" spellcheck={false} value={sought} onValue={seek} />}
      {found.length > 0 && (
        <ul class="rows">
          {found.map((known) => (
            <Row key={known.account} known={known} open={open} />
          ))}
        </ul>
      )}
      {found.length === 0 && <NotListed person={person} handle={sought.trim()} open={open} />}
    </>
  );
}

function Row({ known, open }: { known: Known; open(known: Known): void }) {
  return (
    <li>
      <button type="button" class="row person" onClick={() => open(known)}>
        <Avatar account={known.account} handle={known.handle} />
        <span class="row-text">
          <span class="row-title">
            <bdi>{known.handle}</bdi>
            <Trust known={known} />
          </span>
          {known.changed !== undefined && <span class="row-note person-changed">{known.changed}</span>}
        </span>
        <Icon name="right" />
      </button>
    </li>
  );
}

/** NotListed asks the hub for a name that its list does not have. */
function NotListed({ person, handle, open }: { person: Person; handle: string; open(known: Known): void }) {
  const [problem, tell] = useState<string>();
  const [busy, wait] = useState(false);
  const ask = async () => {
    wait(true);
    try {
      tell(undefined);
      open(await person.people.find(handle));
    } catch (error) {
      tell(sentence(error));
    }
    wait(false);
  };
  return (
    <Empty
      icon="search"
      title="Nobody of that name is listed"
      ends={
        <Button busy={busy} onClick={() => void ask()}>
          Ask the hub for “<bdi>{handle}</bdi>”
        </Button>
      }
    >
      {problem ?? "The list may be behind, or you need the whole name."}
    </Empty>
  );
}
