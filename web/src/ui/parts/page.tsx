import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { arrived } from "../router.ts";

/** useTitle names the page in the tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Keyhall`;
  }, [title]);
}

let shown = false;

/**
 * Heading is a page's h1. It takes the focus when somebody has come to the page by a link, or when what had the focus went away with the
 * step before, so that a page is read from its beginning.
 */
export function Heading({ children }: { children: ComponentChildren }) {
  const ref = useRef<HTMLHeadingElement>(null);
  const at = arrived.value;
  useLayoutEffect(() => {
    if (at > 0 && !document.activeElement?.matches("main [data-first]")) ref.current?.focus({ preventScroll: true });
  }, [at]);
  useLayoutEffect(() => {
    if (shown && document.activeElement === document.body) ref.current?.focus();
    shown = true;
  }, []);
  return (
    <h1 ref={ref} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** Page is one with a heading (its title, where none is given), what can be done on it, and its content. */
export function Page({ title, heading, lead, ends, children, width }: { title: string; heading?: ComponentChildren; lead?: ComponentChildren; ends?: ComponentChildren; children: ComponentChildren; width?: "wide" }) {
  useTitle(title);
  return (
    <div class="page" data-width={width}>
      <header class="page-head">
        <div class="page-title">
          <Heading>{heading ?? title}</Heading>
          {lead && <p class="quiet">{lead}</p>}
        </div>
        {ends && <div class="line">{ends}</div>}
      </header>
      {children}
    </div>
  );
}
