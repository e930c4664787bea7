import type { Message } from "../../model.ts";

/** keyOf tells a message from all others: two people may use the same id. */
export function keyOf(message: Pick<Message, "author" | "id">): string {
  return `${message.author} ${message.id}`;
}

/** Group is what one person said in one go. */
export interface Group {
  key: string;
  /** day is set where the first message of a day is in the group: local midnight of that day. */
  day?: Date;
  /** fresh: the messages that one has not seen begin with this group. */
  fresh: boolean;
  author: string;
  handle: string;
  mine: boolean;
  messages: Message[];
}

/** pause is after how long somebody is named again. */
const pause = 5 * 60_000;

/** group puts messages together by day and author. A group begins at the one with the key `fresh`, the first that was not seen. */
export function group(messages: readonly Message[], fresh: string | undefined, before?: Message): Group[] {
  const groups: Group[] = [];
  let last: Message | undefined = before;
  for (const message of messages) {
    const day = midnight(message.time);
    const newDay = last === undefined || midnight(last.time).getTime() !== day.getTime();
    const isFresh = keyOf(message) === fresh;
    const current = groups.at(-1);
    const joins = current !== undefined && !newDay && !isFresh && current.author === message.author && near(last, message);
    if (joins) current.messages.push(message);
    else groups.push({ key: keyOf(message), day: newDay ? day : undefined, fresh: isFresh, author: message.author, handle: message.handle, mine: message.mine, messages: [message] });
    last = message;
  }
  return groups;
}

function near(last: Message | undefined, message: Message): boolean {
  return last !== undefined && Math.abs(message.time.getTime() - last.time.getTime()) < pause;
}

function midnight(time: Date): Date {
  return new Date(time.getFullYear(), time.getMonth(), time.getDate());
}

const weekdays = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const years = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** day is what a day is called: today, yesterday, or by its date. */
export function day(of: Date, now = new Date()): string {
  const days = Math.round((midnight(now).getTime() - midnight(of).getTime()) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (of.getFullYear() === now.getFullYear() ? weekdays : years).format(of);
}
