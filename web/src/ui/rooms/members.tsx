import { useEffect, useRef, useState } from "preact/hooks";
import type { Member, People as Hall, Role, Room } from "../../model.ts";
import { announce, Avatar, Banner, BoneRows, Button, Confirm, Field, IconButton, Menu, Select, Show, Tag, Time, Unsure, useLoad, useTask, useUnsure, type MenuItem, type Task } from "../parts/index.ts";
import { terms, type Term } from "../terms.ts";
import { title } from "./names.ts";

const roles: Record<Role, string> = { reader: "reads", writer: "writes", moderator: "moderator" };

interface Props {
  room: Room;
  people: Hall;
  /** own is the account of who looks. */
  own: string;
  onClose(): void;
  onLeave(): Promise<void>;
}

/** Members shows who is in a room. Moderators let people in here, and take them out. */
export function Members({ room, people, own, onClose, onLeave }: Props) {
  const info = room.info.value;
  const loaded = useLoad(() => room.members(), [room, info.members, info.role]);
  const [change, setChange] = useState<Member | undefined>();
  const [asked, ask] = useState<{ remove: Member } | "leave" | undefined>();
  const me = loaded.value?.find((member) => member.account === own);
  const moderates = info.role === "moderator";
  const remove = async (member: Member) => {
    await room.revoke(member.account);
    announce(`${member.handle} is out of ${title(info)}.`);
    await loaded.again();
  };
  return (
    <aside class="members" aria-label="Members">
      <Head onClose={onClose} />
      <div class="members-scroll">
        {info.open && <p class="quiet small">Everybody on this hub may read and write here. Below are those who were given a role.</p>}
        <Show loaded={loaded} bones={<BoneRows count={4} label="Loading the members" />}>
          {(members) => <People room={room} members={members} own={own} moderates={moderates} onChange={setChange} onRemove={(member) => ask({ remove: member })} />}
        </Show>
        {moderates && <Grant key={change?.account ?? ""} room={room} people={people} change={change} onDone={async () => (setChange(undefined), await loaded.again())} />}
        {info.role !== undefined && loaded.value !== undefined && <Leaving creator={me?.creator ?? false} onLeave={() => ask("leave")} />}
      </div>
      {asked === "leave" && (
        <Confirm title={`Leave ${title(info)}?`} yes="Leave" kind="danger" onYes={onLeave} onClose={() => ask(undefined)}>
          <p>{info.open ? "You can come back whenever you want." : "To come back, somebody has to let you in again. What others say from now on is not sealed for you."}</p>
        </Confirm>
      )}
      {asked !== undefined && asked !== "leave" && (
        <Confirm title={`Take ${asked.remove.handle} out of ${title(info)}?`} yes="Take out" kind="danger" onYes={() => remove(asked.remove)} onClose={() => ask(undefined)}>
          <p>They can still read what they have received. What is said from now on is not sealed for them.</p>
        </Confirm>
      )}
    </aside>
  );
}

function Head({ onClose }: { onClose(): void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <header class="members-head">
      <h2 ref={heading} tabIndex={-1}>
        Members
      </h2>
      <IconButton label="Close the members" icon="close" onClick={onClose} />
    </header>
  );
}

interface PeopleProps {
  room: Room;
  members: readonly Member[];
  own: string;
  moderates: boolean;
  onChange(member: Member): void;
  onRemove(member: Member): void;
}

function People({ room, members, own, moderates, onChange, onRemove }: PeopleProps) {
  const here = new Set(room.present.value.map((one) => one.account));
  return (
    <ul class="member-list">
      {members.map((member) => (
        <li key={member.account} class="member">
          <Avatar account={member.account} handle={member.handle} size="small" />
          <div class="member-text">
            <p class="member-name">
              <bdi>{member.handle}</bdi>
              {member.account === own ? <span class="quiet small">you</span> : here.has(member.account) && <span class="here small">here</span>}
            </p>
            <p class="member-tags">
              <Tag kind={member.role === "moderator" ? "good" : undefined}>{member.creator ? "made this room" : roles[member.role]}</Tag>
              {member.expires && (
                <span class="quiet small">
                  ends <Time at={member.expires} />
                </span>
              )}
            </p>
          </div>
          {moderates && !member.creator && member.account !== own && <Menu label={`What to do with ${member.handle}`} items={acts(member, onChange, onRemove)} />}
        </li>
      ))}
    </ul>
  );
}

function acts(member: Member, onChange: PeopleProps["onChange"], onRemove: PeopleProps["onRemove"]): MenuItem[] {
  return [
    { text: "Change role or end", icon: "edit", onPick: () => onChange(member) },
    { text: "Take out", icon: "leave", kind: "danger", onPick: () => onRemove(member) },
  ];
}

/** Grant lets somebody in, or gives somebody who is in another role. */
function Grant({ room, people, change, onDone }: { room: Room; people: Props["people"]; change: Member | undefined; onDone(): Promise<void> }) {
  const [handle, setHandle] = useState(change?.handle ?? "");
  const [role, setRole] = useState<Role>(change?.role ?? "writer");
  const [term, setTerm] = useState<Term>("ever");
  const task = useTask();
  const unsure = useUnsure(people);
  const who = handle.trim().replace(/^@/, "");
  const submit = async () => {
    let done = false;
    const grant = async () => {
      if (await unsure.holds(who)) return;
      await room.grant(who, role, terms[term].hours);
      done = true;
    };
    if (who === "" || !(await task.run(grant)) || !done) return;
    announce(`${who} ${role === "moderator" ? "is a moderator" : roles[role]} here now.`);
    setHandle("");
    await onDone();
  };
  return (
    <form class="grant stack" data-gap="tight" onSubmit={(event) => (event.preventDefault(), void submit())}>
      <h3>{change ? "Change a role" : "Let somebody in"}</h3>
      <Field label="Handle" value={handle} onValue={setHandle} hint="As they are called on this hub." autoComplete="off" autoCapitalize="none" spellcheck={false} />
      <div class="grant-choices">
        <Select label="Role" value={role} onValue={(chosen) => setRole(chosen)} options={[["reader", "Reads"], ["writer", "Reads and writes"], ["moderator", "Moderator"]]} />
        <Select label="Ends" value={term} onValue={(chosen) => setTerm(chosen)} options={Object.entries(terms).map(([key, one]) => [key as Term, one.text] as const)} />
      </div>
      <Unsure who={unsure.who} />
      <GrantEnds task={task} change={change !== undefined} ready={who !== ""} onCancel={() => void onDone()} />
    </form>
  );
}

function GrantEnds({ task, change, ready, onCancel }: { task: Task; change: boolean; ready: boolean; onCancel(): void }) {
  return (
    <>
      {task.problem && <Banner kind="problem">{task.problem}</Banner>}
      <div class="line">
        <Button kind="primary" type="submit" busy={task.busy} disabled={!ready}>
          {change ? "Change" : "Let in"}
        </Button>
        {change && <Button onClick={onCancel}>Cancel</Button>}
      </div>
    </>
  );
}

function Leaving({ creator, onLeave }: { creator: boolean; onLeave(): void }) {
  if (creator) return <p class="quiet small">You made this room, so it stays yours: its creator cannot leave it.</p>;
  return (
    <div>
      <Button kind="danger-quiet" icon="leave" onClick={onLeave}>
        Leave this room
      </Button>
    </div>
  );
}
