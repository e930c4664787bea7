import { Component } from "preact";
import type { Message } from "../../model.ts";
import { Button, Icon, clock, moment } from "../parts/index.ts";
import { keyOf } from "./groups.ts";
import { roomHref } from "../router.ts";
import { clean, parts, type Part } from "../text.ts";

/** Text shows what somebody wrote, as text: nothing in it is markup, and its writing directions end where it ends. */
export function Text({ text }: { text: string }) {
  return (
    <bdi class="message-text" dir="auto">
      {parts(clean(text)).map((part, index) => (
        <Piece key={index} part={part} />
      ))}
    </bdi>
  );
}

function Piece({ part }: { part: Part }) {
  if (part.kind === "text") return <>{part.text}</>;
  if (part.kind === "room") return <a href={roomHref(part.room)}>{part.text}</a>;
  return (
    <a href={part.href} title={part.href} target="_blank" rel="noopener noreferrer nofollow">
      {part.text}
    </a>
  );
}

interface LineProps {
  message: Message;
  again(message: Message): void;
  drop(message: Message): void;
}

/**
 * Line is one message. Its places are those of the grid in rooms.css: what it answers above the text, what is attached and
 * how others reacted below it, and how far it is at the side. It is drawn again only when something about it changes.
 */
export class Line extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps): boolean {
    const [a, b] = [this.props.message, next.message];
    return keyOf(a) !== keyOf(b) || a.text !== b.text || a.state !== b.state || a.why !== b.why || a.unreadable !== b.unreadable;
  }

  override render({ message, again, drop }: LineProps) {
    return (
      <li class="message" data-message={keyOf(message)} data-state={message.state}>
        <time class="message-time" dateTime={message.time.toISOString()} title={moment(message.time)}>
          {clock(message.time)}
        </time>
        {message.unreadable === undefined ? <Text text={message.text} /> : <Unreadable why={message.unreadable} />}
        {message.mine && message.unreadable === undefined && <Delivery message={message} />}
        {message.state === "failed" && <Failed message={message} again={again} drop={drop} />}
      </li>
    );
  }
}

function Unreadable({ why }: { why: string }) {
  return (
    <p class="message-unreadable">
      <Icon name="lock" size={16} /> <bdi>{clean(why)}</bdi>
    </p>
  );
}

const delivery = { queued: ["clock", "Waits for the network"], sending: ["clock", "On its way"], stored: ["check", "Stored by the hub"], failed: ["warning", "Not sent"] } as const;

function Delivery({ message }: { message: Message }) {
  const [icon, words] = delivery[message.state];
  return (
    <span class="message-state" data-state={message.state} title={words}>
      <Icon name={icon} size={14} />
      <span class="unseen">{words}</span>
    </span>
  );
}

function Failed({ message, again, drop }: LineProps) {
  return (
    <div class="message-failed">
      <p>
        <bdi>{clean(message.why ?? "This message was not sent.")}</bdi>
      </p>
      <Button kind="quiet" size="small" onClick={() => again(message)}>
        Try again
      </Button>
      <Button kind="danger-quiet" size="small" onClick={() => drop(message)}>
        Drop it
      </Button>
    </div>
  );
}
