import type { ComponentChildren, JSX, Ref } from "preact";
import { Icon, type IconName } from "./icon.tsx";

export type Kind = "primary" | "plain" | "quiet" | "danger" | "danger-quiet";

type Native = Omit<JSX.IntrinsicElements["button"], "icon" | "ref" | "size" | "children">;

export interface ButtonProps extends Native {
  kind?: Kind;
  icon?: IconName;
  /** busy says that what it started goes on: it stays where it is and takes no second press. */
  busy?: boolean;
  size?: "small";
  wide?: boolean;
  children?: ComponentChildren;
  buttonRef?: Ref<HTMLButtonElement>;
}

/** Button does something. What goes somewhere is a link (ButtonLink where it should look like this). */
export function Button({ kind = "plain", icon, busy, size, wide, children, buttonRef, onClick, type = "button", ...rest }: ButtonProps) {
  return (
    <button
      {...rest}
      ref={buttonRef}
      type={type}
      class="button"
      data-kind={kind}
      data-size={size}
      data-wide={wide || undefined}
      aria-busy={busy ? "true" : undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon && <Icon name={icon} size={18} />}
      {children}
    </button>
  );
}

/** IconButton is a button of an icon alone; label is what it is called. */
export function IconButton({ label, icon, kind = "quiet", size, busy, buttonRef, onClick, ...rest }: Omit<ButtonProps, "children" | "wide"> & { label: string; icon: IconName }) {
  return (
    <button
      {...rest}
      ref={buttonRef}
      type="button"
      class="button"
      data-kind={kind}
      data-size={size}
      data-shape="icon"
      aria-label={label}
      title={label}
      aria-busy={busy ? "true" : undefined}
      onClick={busy ? undefined : onClick}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : <Icon name={icon} />}
    </button>
  );
}

/** ButtonLink goes somewhere and looks like a button. */
export function ButtonLink({ href, kind = "plain", icon, size, wide, children }: { href: string; kind?: Kind; icon?: IconName; size?: "small"; wide?: boolean; children: ComponentChildren }) {
  return (
    <a href={href} class="button" data-kind={kind} data-size={size} data-wide={wide || undefined}>
      {icon && <Icon name={icon} size={18} />}
      {children}
    </a>
  );
}
