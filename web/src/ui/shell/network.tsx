import type { ReadonlySignal } from "@preact/signals";
import type { Keyhall } from "../../model.ts";
import { Icon } from "../parts/icon.tsx";
import { Spinner } from "../parts/waiting.tsx";

type State = Keyhall["network"] extends ReadonlySignal<infer T> ? T : never;

function said(state: State) {
  if (state === "online") return null;
  if (state === "connecting") {
    return (
      <>
        <Spinner />
        Connecting
      </>
    );
  }
  return (
    <>
      <Icon name="offline" size={16} />
      <span>
        Offline<span class="network-more">. What you write waits here.</span>
      </span>
    </>
  );
}

/** Network says when the hub cannot be reached, and nothing while it can. */
export function Network({ network }: { network: Keyhall["network"] }) {
  const state = network.value;
  return (
    <div class="network" role="status" data-state={state}>
      {said(state)}
    </div>
  );
}
