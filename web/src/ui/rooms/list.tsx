import { useRef, useState } from "preact/hooks";
import type { RoomInfo } from "../../model.ts";
import { Button, Heading, Icon, IconButton } from "../parts/index.ts";
import { navigate, roomHref } from "../router.ts";
import { bare, find, order, title } from "./names.ts";

interface Props {
  rooms: readonly RoomInfo[] | undefined;
  /** current is what the address says of the room that is shown. */
  current: string | undefined;
  onCreate(): void;
}

/** RoomList shows the rooms one is in, and those one may join. Its box filters them, and goes to a room by its name. */
export function RoomList({ rooms, current, onCreate }: Props) {
  const [said, say] = useState("");
  const list = useRef<HTMLDivElement>(null);
  const shown = filter(rooms ?? [], said);
  const own = shown.filter((room) => room.role !== undefined);
  const others = shown.filter((room) => room.role === undefined);
  const at = current === undefined ? undefined : find(rooms ?? [], current)?.id;
  const submit = () => {
    const name = bare(said);
    if (name === "") return;
    navigate(roomHref(find(rooms ?? [], name)?.id ?? (shown.length === 1 && shown[0] ? shown[0].id : name)));
    say("");
  };
  return (
    <nav class="room-list" aria-label="Rooms" ref={list} onKeyDown={(event) => walk(event, list.current)}>
      <header class="room-list-head">
        {current === undefined ? <Heading>Rooms</Heading> : <p class="room-list-title">Rooms</p>}
        <IconButton label="New room" icon="plus" onClick={onCreate} />
      </header>
      <form class="room-find" role="search" onSubmit={(event) => (event.preventDefault(), submit())}>
        <label class="unseen" for="room-find">
          Filter the rooms, or go to one by its name
        </label>
        <input id="room-find" class="input" type="search" autocomplete="off" autocapitalize="none" spellcheck={false} placeholder="Filter, or #name to join" value={said} onInput={(event) => say(event.currentTarget.value)} />
      </form>
      <div class="room-scroll">
        {rooms === undefined ? <Bones /> : <Section title="Your rooms" rooms={own} at={at} />}
        <Section title="Rooms you may join" rooms={others.filter((room) => room.open)} at={at} />
        <Section title="Closed to you" rooms={others.filter((room) => !room.open)} at={at} />
        {rooms?.length === 0 && said.trim() === "" && <p class="room-unknown quiet small">You are in no room yet. Make one with +, or type the name of one that you were let into.</p>}
        {said.trim() !== "" && shown.length === 0 && <Unknown name={bare(said)} onGo={submit} />}
      </div>
    </nav>
  );
}

function filter(rooms: readonly RoomInfo[], said: string): RoomInfo[] {
  const name = bare(said);
  return order(rooms).filter((room) => name === "" || (room.name ?? "").includes(name));
}

function Section({ title: heading, rooms, at }: { title: string; rooms: readonly RoomInfo[]; at: string | undefined }) {
  if (rooms.length === 0) return null;
  return (
    <section>
      <h2 class="room-section">{heading}</h2>
      <ul class="room-links">
        {rooms.map((room) => (
          <li key={room.id}>
            <RoomLink room={room} current={room.id === at} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function RoomLink({ room, current }: { room: RoomInfo; current: boolean }) {
  return (
    <a class="room-link" href={roomHref(room.id)} aria-current={current ? "page" : undefined} data-unread={room.unread > 0 || undefined} data-name={room.name}>
      <Icon name={room.role === "reader" ? "eye" : room.open ? "rooms" : "lock"} size={18} />
      <bdi class="room-name">{title(room)}</bdi>
      {room.role === "reader" && <span class="unseen">you may read here</span>}
      {room.unread > 0 && room.role !== undefined && (
        <span class="room-unread">
          {room.unread > 999 ? "999+" : room.unread}
          <span class="unseen"> unread</span>
        </span>
      )}
    </a>
  );
}

function Unknown({ name, onGo }: { name: string; onGo(): void }) {
  return (
    <div class="room-unknown">
      <p class="quiet small">
        None of the rooms that you see is called <bdi>#{name}</bdi>. If you were let into it, you can go there.
      </p>
      <Button size="small" icon="door" onClick={onGo}>
        Go to #{name}
      </Button>
    </div>
  );
}

function Bones() {
  return (
    <div role="status" aria-label="Loading the rooms" class="room-bones">
      {[1, 2, 3, 4].map((one) => (
        <span key={one} class="bone" data-width="middle" />
      ))}
    </div>
  );
}

// walk goes through the rooms by the arrows, and by j and k where nobody types.
function walk(event: KeyboardEvent, list: HTMLElement | null): void {
  if (list === null || event.altKey || event.ctrlKey || event.metaKey) return;
  const typing = event.target instanceof HTMLInputElement;
  const by = { ArrowDown: 1, ArrowUp: -1, ...(typing ? {} : { j: 1, k: -1 }) }[event.key];
  if (by === undefined) return;
  const links = [...list.querySelectorAll<HTMLElement>(".room-link")];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = at < 0 ? (by > 0 ? 0 : -1) : at + by;
  if (at === 0 && by < 0) list.querySelector<HTMLElement>("input")?.focus();
  else links.at(Math.min(next, links.length - 1))?.focus();
  event.preventDefault();
}
