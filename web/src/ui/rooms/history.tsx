import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Message, Room } from "../../model.ts";
import { Avatar, Button, clock, moment } from "../parts/index.ts";
import { day, group, keyOf, type Group } from "./groups.ts";
import { Line } from "./message.tsx";
import { plain } from "../text.ts";
import type { Reading } from "./reading.ts";

interface Props {
  room: Room;
  reading: Reading;
  name: string;
}

/** History is what was said in a room, as much of it as one scrolls to. */
export function History({ room, reading, name }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => (frame.current === null ? undefined : reading.attach(frame.current)), [reading]);
  return (
    <div class="history">
      <div class="history-frame" ref={frame} tabIndex={0} role="region" aria-label={`Messages in ${name}`} onScroll={() => reading.scrolled()} onKeyDown={(event) => event.key === "End" && reading.jump()}>
        <Top room={room} reading={reading} name={name} />
        <Groups room={room} reading={reading} />
      </div>
      <Jump reading={reading} />
      <p class="unseen" aria-live="polite">
        {reading.said.value}
      </p>
    </div>
  );
}

// Top is what stands above the oldest message: the same height whether more is loading or not.
function Top({ room, reading, name }: Props) {
  useLayoutEffect(() => reading.drawn());
  if (reading.span.value.from > 0) return <div class="history-top" />;
  if (!room.more.value) {
    return (
      <div class="history-top">
        <p class="quiet small">{room.messages.value.length > 0 ? `This is the beginning of ${name}.` : `Nothing has been said in ${name} yet.`}</p>
      </div>
    );
  }
  const failed = reading.loading.value === "failed";
  return (
    <div class="history-top" aria-busy={!failed}>
      {failed ? (
        <>
          <span class="small">Older messages could not be loaded.</span>
          <Button kind="quiet" size="small" onClick={() => void reading.older()}>
            Try again
          </Button>
        </>
      ) : (
        <span class="quiet small">Loading older messages…</span>
      )}
    </div>
  );
}

function Groups({ room, reading }: { room: Room; reading: Reading }) {
  const list = room.messages.value;
  const { from, to } = reading.span.value;
  const fresh = reading.fresh.value;
  const groups = useMemo(() => group(list.slice(from, to), fresh, list[from - 1]), [list, from, to, fresh]);
  useLayoutEffect(() => reading.drawn());
  const acts = useMemo(() => ({ again: (message: Message) => room.again(message), drop: (message: Message) => room.drop(message) }), [room]);
  return (
    <ol class="groups">
      {groups.map((one) => (
        <Said key={one.key} group={one} {...acts} />
      ))}
    </ol>
  );
}

function Said({ group, again, drop }: { group: Group; again(message: Message): void; drop(message: Message): void }) {
  const first = group.messages[0] as Message;
  return (
    <li class="group" data-mine={group.mine || undefined}>
      {group.day && (
        <h2 class="day">
          <time dateTime={group.day.toISOString().slice(0, 10)}>{day(group.day)}</time>
        </h2>
      )}
      {group.fresh && (
        <p class="fresh" data-fresh>
          New messages
        </p>
      )}
      <Avatar size="small" account={group.author} handle={group.handle} />
      <p class="group-head">
        <bdi class="group-name">{group.handle === "" ? "Somebody unknown" : plain(group.handle)}</bdi>
        <time class="group-time" dateTime={first.time.toISOString()} title={moment(first.time)}>
          {clock(first.time)}
        </time>
      </p>
      <ol class="messages">
        {group.messages.map((message) => (
          <Line key={keyOf(message)} message={message} again={again} drop={drop} />
        ))}
      </ol>
    </li>
  );
}

function Jump({ reading }: { reading: Reading }) {
  if (reading.atEnd.value) return null;
  const unseen = reading.unseen.value;
  return (
    <div class="jump">
      <Button kind="plain" size="small" icon="down" onClick={() => reading.jump()}>
        {unseen === 0 ? "To the newest" : unseen === 1 ? "1 new message" : `${unseen} new messages`}
      </Button>
    </div>
  );
}
