import type { ComponentChildren } from "preact";
import { useLayoutEffect, useId, useRef } from "preact/hooks";
import { Button, IconButton, type Kind } from "./button.tsx";
import { useTask } from "./task.ts";
import { Banner } from "./banner.tsx";

interface DialogProps {
  title: string;
  /** onClose is called when the person closes it: by Escape, the cross or a press beside it. */
  onClose(): void;
  children: ComponentChildren;
  size?: "wide";
}

/** Dialog is a modal one, open as long as it is rendered. The focus goes into it and comes back to where it was. */
export function Dialog({ title, onClose, children, size }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const gone = useRef(false);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    gone.current = false;
    dialog?.showModal();
    dialog?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      gone.current = true;
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class="dialog"
      data-size={size}
      aria-labelledby={id}
      onCancel={(event) => {
        if (event.target !== ref.current) return;
        event.preventDefault();
        onClose();
      }}
      onClose={() => {
        if (gone.current) return;
        onClose(); // a browser closes it on a second Escape without asking
        if (!gone.current) ref.current?.showModal();
      }}
      onMouseDown={(event) => {
        if (event.target === event.currentTarget && beside(event, event.currentTarget)) onClose();
      }}
    >
      <div class="dialog-head">
        <h2 id={id}>{title}</h2>
        <IconButton label="Close" icon="close" onClick={onClose} />
      </div>
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}

function beside(event: MouseEvent, dialog: HTMLElement): boolean {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom;
}

/** Ends holds the buttons of a dialog or a form, the one that goes on last. */
export function Ends({ children }: { children: ComponentChildren }) {
  return <div class="dialog-ends">{children}</div>;
}

/** Confirm asks before something that cannot be taken back. It closes when that is done, and says so in place when it fails. */
export function Confirm({ title, children, yes, kind = "danger", onYes, onClose }: Omit<DialogProps, "size"> & { yes: string; kind?: Kind; onYes(): Promise<void> }) {
  const task = useTask();
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      {task.problem && <Banner kind="problem">{task.problem}</Banner>}
      <Ends>
        <Button data-first onClick={onClose}>
          Cancel
        </Button>
        <Button
          kind={kind}
          busy={task.busy}
          onClick={() =>
            task.run(async () => {
              await onYes();
              onClose();
            })
          }
        >
          {yes}
        </Button>
      </Ends>
    </Dialog>
  );
}
