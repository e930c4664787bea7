import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Person, Room } from "../../model.ts";
import { Heading, Icon, IconButton, Tag, useKeys, useTitle } from "../parts/index.ts";
import { navigate } from "../router.ts";
import { Composer } from "./composer.tsx";
import { draft } from "./drafts.ts";
import { History } from "./history.tsx";
import { Members } from "./members.tsx";
import { title } from "./names.ts";
import { Reading } from "./reading.ts";
import { plain } from "../text.ts";

interface Props {
  person: Person;
  room: Room;
  /** unread is how many messages there were that one had not seen when one came in. */
  unread: number;
  offline: boolean;
}

/** RoomView is a room that one is in: who is here, what was said, and where one writes. */
export function RoomView({ person, room, unread, offline }: Props) {
  const info = room.info.value;
  const name = title(info);
  const [members, showMembers] = useState(false);
  const reading = useMemo(() => new Reading(room, unread), [room]);
  const view = useRef<HTMLDivElement>(null);
  useTitle(name);
  useEffect(() => arrive(view.current), [room]);
  useKeys([
    { keys: "c", does: "Write a message", run: () => view.current?.querySelector<HTMLElement>("textarea")?.focus() },
    { keys: "m", does: "Show or hide the members", run: () => showMembers(!members) },
  ]);
  const escape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (members) showMembers(false);
    else reading.jump();
    arrive(view.current);
  };
  const leave = async () => {
    await person.rooms.leave(info.id);
    navigate("/rooms");
  };
  return (
    <div class="room" ref={view} data-members={members || undefined} onKeyDown={escape}>
      <div class="room-main">
        <Head room={room} members={members} onMembers={() => showMembers(!members)} />
        <History room={room} reading={reading} name={name} />
        <Foot person={person} room={room} reading={reading} offline={offline} />
      </div>
      {members && <Members room={room} people={person.people} own={person.account} onClose={() => (showMembers(false), arrive(view.current))} onLeave={leave} />}
    </div>
  );
}

// arrive puts the focus where one goes on: into the box to write in, where there is a keyboard for it.
function arrive(view: HTMLElement | null): void {
  if (!matchMedia("(pointer: fine)").matches) return;
  (view?.querySelector<HTMLElement>(".composer textarea") ?? view?.querySelector<HTMLElement>(".history-frame"))?.focus({ preventScroll: true });
}

function Head({ room, members, onMembers }: { room: Room; members: boolean; onMembers(): void }) {
  const info = room.info.value;
  return (
    <header class="room-head">
      <a class="room-back button" data-kind="quiet" data-shape="icon" href="/rooms" aria-label="All rooms" title="All rooms">
        <Icon name="back" />
      </a>
      <div class="room-title">
        <Heading>
          <bdi>{title(info)}</bdi>
        </Heading>
        <p class="room-about small quiet">
          <Tag icon={info.open ? "rooms" : "lock"}>{info.open ? "open" : "sealed"}</Tag>
          <Present room={room} />
        </p>
      </div>
      <IconButton label={members ? "Hide the members" : "Show the members"} icon="people" aria-expanded={members} onClick={onMembers} />
    </header>
  );
}

function Present({ room }: { room: Room }) {
  const present = room.present.value;
  if (present.length === 0) return <span class="room-present">Nobody else is here just now</span>;
  const names = present.slice(0, 3).map((one) => plain(one.handle));
  if (present.length > 3) names.push(`${present.length - 3} more`);
  return (
    <span class="room-present here">
      <bdi>{list(names)}</bdi> {present.length === 1 ? "is" : "are"} here
    </span>
  );
}

function list(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
}

// Foot is what is below the messages: the box to write in, or why there is none.
function Foot({ person, room, reading, offline }: { person: Person; room: Room; reading: Reading; offline: boolean }) {
  const info = room.info.value;
  const typing = room.present.value.filter((one) => one.typing).map((one) => plain(one.handle));
  if (info.role === "reader") return <p class="room-mute">You may read here. To write, ask a moderator of the room.</p>;
  if (info.role === undefined && !info.open) return <p class="room-mute">You are no longer in this room. What was said before stays readable here until you close it.</p>;
  return (
    <Composer
      name={title(info)}
      draft={draft(person.rooms, info.id)}
      note={offline ? "You are offline. What you write waits here, and is signed and sent when the network is back." : typing.length > 0 ? `${list(typing.slice(0, 3))} ${typing.length === 1 ? "is" : "are"} typing…` : undefined}
      say={(text) => (room.say(text), reading.spoke())}
      typing={() => room.typing()}
    />
  );
}
