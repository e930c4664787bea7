import type { ComponentChildren } from "preact";

/** Section is a part of a page: its heading, a word on what it is for, and what can be done there. */
export function Section({ title, lead, ends, children }: { title: string; lead?: ComponentChildren; ends?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <section class="section">
      <div class="section-head">
        <div>
          <h2>{title}</h2>
          {lead && <p class="quiet">{lead}</p>}
        </div>
        {ends && <div class="line">{ends}</div>}
      </div>
      {children}
    </section>
  );
}
