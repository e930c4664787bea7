import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon.tsx";
import { Banner } from "./banner.tsx";
import { Button } from "./button.tsx";
import type { Loaded } from "./task.ts";

/** Spinner turns; what goes on is said beside it or in label. */
export function Spinner({ label }: { label?: string }) {
  return <span class="spinner" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"} />;
}

/** Progress says what is being done, in a line that is there from the start. */
export function Progress({ what }: { what: string | undefined }) {
  return (
    <div class="progress" role="status">
      {what && <Spinner />}
      {what}
    </div>
  );
}

/** BoneRows hold the place of rows that are on their way. */
export function BoneRows({ count = 3, label = "Loading" }: { count?: number; label?: string }) {
  return (
    <div class="rows" role="status" aria-label={label}>
      {Array.from({ length: count }, (_, index) => (
        <div key={index} class="row" aria-hidden="true">
          <span class="bone" data-shape="arch" />
          <div class="stack" data-gap="tight">
            <span class="bone" data-width="middle" />
            <span class="bone" data-width="short" />
          </div>
        </div>
      ))}
    </div>
  );
}

/** Empty is a place with nothing in it: it says what belongs here, and what to do next. */
export function Empty({ icon, title, children, ends }: { icon: IconName; title: string; children: ComponentChildren; ends?: ComponentChildren }) {
  return (
    <div class="empty">
      <div class="empty-arch">
        <Icon name={icon} size={28} />
      </div>
      <h2>{title}</h2>
      <p>{children}</p>
      {ends && <div class="empty-ends">{ends}</div>}
    </div>
  );
}

/** Show waits for what useLoad loads: bones, then the thing, or why it is not there and a way to try again. */
export function Show<T>({ loaded, bones, children }: { loaded: Loaded<T>; bones?: ComponentChildren; children(value: T): ComponentChildren }) {
  return (
    <>
      {loaded.problem !== undefined && (
        <Banner kind="problem">
          {loaded.problem}
          <Button size="small" icon="again" onClick={() => void loaded.again()}>
            Try again
          </Button>
        </Banner>
      )}
      {loaded.value !== undefined ? children(loaded.value) : loaded.problem === undefined && (bones ?? <BoneRows />)}
    </>
  );
}
