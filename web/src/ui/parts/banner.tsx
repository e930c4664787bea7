import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon.tsx";

const icons = { note: "info", plain: "info", done: "check", warn: "warning", problem: "warning" } as const satisfies Record<string, IconName>;

/** Banner says something in place. A problem is read out at once. */
export function Banner({ kind = "note", icon, children }: { kind?: keyof typeof icons; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class="banner" data-kind={kind} role={kind === "problem" ? "alert" : undefined}>
      <Icon name={icon ?? icons[kind]} />
      <div class="banner-body">{children}</div>
    </div>
  );
}

/** Tag is a word or two on what something is. */
export function Tag({ kind, icon, children }: { kind?: "good" | "warn" | "danger"; icon?: IconName; children: ComponentChildren }) {
  return (
    <span class="tag" data-kind={kind}>
      {icon && <Icon name={icon} size={14} />}
      {children}
    </span>
  );
}
