import { useEffect, useState } from "preact/hooks";
import { Problem, type Keyhall, type Person, type Role, type Room, type RoomInfo } from "../../model.ts";
import { Banner, Button, ButtonLink, Empty, Heading, sentence, useKeys, useTitle } from "../parts/index.ts";
import { navigate, roomHref } from "../router.ts";
import { Create } from "./create.tsx";
import { RoomList } from "./list.tsx";
import { bare, find, order, title } from "./names.ts";
import { RoomView } from "./room.tsx";
import { plain } from "../text.ts";

interface Props {
  keyhall: Keyhall;
  person: Person;
  /** route: its room is an id, or a name. */
  route: { room?: string };
}

/** RoomsPage is the list of rooms with the one beside it that is open. */
export function RoomsPage({ keyhall, person, route: { room } }: Props) {
  const rooms = person.rooms.list.value;
  const [creating, create] = useState(false);
  useStep(rooms, room);
  useKeys([
    { keys: "n", does: "New room", run: () => create(true) },
    { keys: "Alt+↑ Alt+↓", does: "Room above, room below, also while you write", run: () => undefined },
    { keys: "/", does: "Filter the rooms", run: () => document.querySelector<HTMLElement>("#room-find")?.focus() },
  ]);
  return (
    <div class="rooms" data-open={room !== undefined || undefined}>
      <RoomList rooms={rooms} current={room} onCreate={() => create(true)} />
      {room === undefined ? <Welcome rooms={rooms} onCreate={() => create(true)} /> : <Entered keyhall={keyhall} person={person} rooms={rooms} said={room} />}
      {creating && <Create rooms={person.rooms} onClose={() => create(false)} />}
    </div>
  );
}

/** useStep goes to the room above or below by Alt and the arrows, from wherever one is on the page. */
function useStep(rooms: readonly RoomInfo[] | undefined, room: string | undefined): void {
  useEffect(() => {
    const step = (event: KeyboardEvent) => {
      const by = event.altKey && !event.ctrlKey && !event.metaKey && { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const own = order(rooms ?? []).filter((one) => one.role !== undefined);
      if (!by || own.length === 0 || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      const at = own.findIndex((one) => one.id === (room === undefined ? undefined : find(own, room)?.id));
      const next = own.at((at < 0 && by < 0 ? 0 : at) + by) ?? own[0];
      if (next) navigate(roomHref(next.id));
    };
    addEventListener("keydown", step);
    return () => removeEventListener("keydown", step);
  }, [rooms, room]);
}

function Welcome({ rooms, onCreate }: { rooms: readonly RoomInfo[] | undefined; onCreate(): void }) {
  useTitle("Rooms");
  const none = rooms !== undefined && rooms.length === 0;
  return (
    <div class="room-none">
      <Empty icon="rooms" title={none ? "No rooms yet" : "Choose a room"} ends={none && <Button kind="primary" icon="plus" onClick={onCreate}>New room</Button>}>
        {none ? "Make the first one, and let others in. Rooms that you are let into appear here by themselves." : "Rooms are on the left. Type a name there to go to a room that you were let into."}
      </Empty>
    </div>
  );
}

type Entry = { at: "opening" } | { at: "open"; room: Room; unread: number } | { at: "shut"; code: string; why: string };

// Entered opens the room of the address. A name is looked up in the list, and goes nowhere else: names of sealed rooms are secrets.
function Entered({ keyhall, person, rooms, said }: { keyhall: Keyhall; person: Person; rooms: readonly RoomInfo[] | undefined; said: string }) {
  const info = rooms && find(rooms, said);
  const id = info?.id ?? (isId(said) ? said : undefined);
  const offline = keyhall.network.value === "offline";
  const [entry, again] = useEntry(person, id, info?.role, offline);
  if (entry.at === "open") return <RoomView key={entry.room.info.peek().id} person={person} room={entry.room} unread={entry.unread} offline={offline} />;
  const name = info ? title(info) : isId(said) ? "Room" : `#${plain(bare(said))}`;
  const unknown = rooms !== undefined && id === undefined;
  if (entry.at === "opening" && !unknown) return <Opening name={name} offline={offline} />;
  return <Shut name={name} person={person} entry={entry.at === "shut" ? entry : { code: "not-found", why: "You are in no room of that name, and none is open to everybody." }} onAgain={again} />;
}

function isId(said: string): boolean {
  return /^[a-z2-7]{26}$/.test(said);
}

// useEntry holds a room open as long as it is the one that is shown. One that was shut is tried again when there is a network, or
// when one has been let in.
function useEntry(person: Person, id: string | undefined, role: Role | undefined, offline: boolean): [Entry, () => void] {
  const [entry, set] = useState<Entry>({ at: "opening" });
  const [turn, again] = useState(0);
  useEffect(() => {
    if (entry.at === "shut" && !offline && (entry.code === "unavailable" || role !== undefined)) again((n) => n + 1);
  }, [offline, role]);
  useEffect(() => {
    if (id === undefined) return;
    let [gone, open]: [boolean, Room | undefined] = [false, undefined];
    set({ at: "opening" });
    const unread = person.rooms.list.peek()?.find((one) => one.id === id)?.unread ?? 0;
    person.rooms.enter(id).then(
      (room) => (gone ? room.close() : ((open = room), set({ at: "open", room, unread: Math.max(unread, room.info.peek().unread) }))),
      (error: unknown) => gone || set({ at: "shut", code: error instanceof Problem ? error.code : "", why: sentence(error) }),
    );
    return () => {
      gone = true;
      open?.close();
    };
  }, [id, turn, person]);
  return [entry, () => again((n) => n + 1)];
}

function Opening({ name, offline }: { name: string; offline: boolean }) {
  useTitle(name);
  return (
    <div class="room" aria-busy="true">
      <div class="room-main">
        <header class="room-head">
          <div class="room-title">
            <Heading>
              <bdi>{name}</bdi>
            </Heading>
            <p class="room-about small quiet">{offline ? "Waiting for the network…" : "Opening…"}</p>
          </div>
        </header>
        <div class="history room-bones" aria-hidden="true">
          {["middle", "short", "middle", "short"].map((width, index) => (
            <span key={index} class="bone" data-width={width} />
          ))}
        </div>
      </div>
    </div>
  );
}

function Shut({ name, person, entry, onAgain }: { name: string; person: Person; entry: { code: string; why: string }; onAgain(): void }) {
  const refused = entry.code === "refused" || entry.code === "not-found";
  useTitle(name);
  return (
    <div class="room-none">
      <Heading>
        <bdi>{name}</bdi>
      </Heading>
      <Empty
        icon={refused ? "lock" : "offline"}
        title={refused ? `You may not enter ${name}` : `${name} could not be opened`}
        ends={
          <>
            <Button icon="again" onClick={onAgain}>
              Try again
            </Button>
            <ButtonLink href="/rooms">Your rooms</ButtonLink>
          </>
        }
      >
        <span role="alert">{entry.why}</span>
      </Empty>
      {refused && (
        <Banner kind="plain">
          <span>
            A moderator of the room can let you in by your handle, <strong>{plain(person.handle)}</strong>. Your other rooms go on as before.
          </span>
        </Banner>
      )}
    </div>
  );
}
