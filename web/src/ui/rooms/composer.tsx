import type { Signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { IconButton } from "../parts/index.ts";

/** limit is how many bytes a message has at most (docs/protocol/rooms.md). */
const limit = 32 * 1024;

interface Props {
  name: string;
  draft: Signal<string>;
  /** note is what is to be said below the box: who is typing, or that there is no network. */
  note: string | undefined;
  say(text: string): void;
  typing(): void;
}

/** Composer is where one writes: Enter sends, Shift and Enter begin a new line. */
export function Composer({ name, draft, note, say, typing }: Props) {
  const box = useRef<HTMLTextAreaElement>(null);
  const text = draft.value;
  useLayoutEffect(() => grow(box.current), [text, draft]);
  const over = text.length > limit / 4 ? new TextEncoder().encode(text.trim()).length - limit : 0;
  const ready = text.trim() !== "" && over <= 0;
  const send = () => {
    if (!ready) return;
    say(text.trim());
    draft.value = "";
    box.current?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.altKey) return;
    event.preventDefault();
    send();
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      <label class="unseen" for="say">
        Write to {name}
      </label>
      <textarea
        id="say"
        ref={box}
        class="input"
        dir="auto"
        rows={1}
        value={text}
        placeholder={`Write to ${name}`}
        enterkeyhint="send"
        autocomplete="off"
        aria-describedby="say-note"
        onInput={(event) => {
          draft.value = event.currentTarget.value;
          if (event.currentTarget.value !== "") typing();
        }}
        onKeyDown={pressed}
      />
      <IconButton kind="primary" icon="send" label="Send" disabled={!ready} onClick={send} />
      <p id="say-note" class="composer-note" data-kind={over > 0 ? "error" : note === undefined ? undefined : "note"}>
        {over > 0 ? `This is too long by ${over} bytes: send it as two messages.` : (note ?? "Enter sends, Shift+Enter begins a new line.")}
      </p>
    </form>
  );
}

// grow makes the box as high as its text, up to the limit in rooms.css.
function grow(box: HTMLTextAreaElement | null): void {
  if (box === null) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + box.offsetHeight - box.clientHeight}px`;
}
