import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icon.tsx";
import { IconButton } from "./button.tsx";

export interface MenuItem {
  text: ComponentChildren;
  icon?: IconName;
  kind?: "danger";
  onPick(): void;
}

/** Menu is a button with a list of things to do: arrows go through it, Escape closes it, and the focus comes back. */
export function Menu({ label, icon = "more", items, side, up }: { label: string; icon?: IconName; items: readonly MenuItem[]; side?: "start"; up?: boolean }) {
  const [open, set] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => {
    set(false);
    button.current?.focus();
  };
  useLayoutEffect(() => {
    if (!open) return;
    box.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const outside = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) set(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  return (
    <div class="menu" ref={box} data-side={side} data-up={up || undefined} onKeyDown={(event) => open && steer(event, close)}>
      <IconButton buttonRef={button} label={label} icon={icon} aria-haspopup="menu" aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => set(!open)} />
      {open && (
        <div class="menu-list" role="menu" id={id} aria-label={label}>
          {items.map((item, index) => (
            <button
              key={index}
              type="button"
              class="menu-item"
              role="menuitem"
              tabIndex={-1}
              data-kind={item.kind}
              onClick={() => {
                close();
                item.onPick();
              }}
            >
              {item.icon && <Icon name={item.icon} />}
              {item.text}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function steer(event: KeyboardEvent & { currentTarget: HTMLElement }, close: () => void): void {
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=menuitem]")];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close();
  else if (to !== undefined) items.at(to % items.length)?.focus();
  else return;
  if (event.key !== "Tab") event.preventDefault();
  event.stopPropagation();
}
