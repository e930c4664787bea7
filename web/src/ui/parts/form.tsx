import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/**
 * Form is fields and what they are for. When something in it turns out to be wrong after it was sent, at once or when the hub has
 * answered, the focus goes to the first field that is.
 */
export function Form({ onSubmit, gap, children }: { onSubmit(): void; gap?: "tight"; children: ComponentChildren }) {
  const form = useRef<HTMLFormElement>(null);
  const sent = useRef(false);
  useLayoutEffect(() => {
    if (!sent.current) return;
    const wrong = form.current?.querySelector<HTMLElement>("[aria-invalid=true]");
    if (!wrong) return;
    sent.current = false;
    wrong.focus();
  });
  return (
    <form
      ref={form}
      class="stack"
      data-gap={gap}
      noValidate
      onInput={() => void (sent.current = false)}
      onSubmit={(event) => {
        event.preventDefault();
        sent.current = true;
        onSubmit();
      }}
    >
      {children}
    </form>
  );
}
