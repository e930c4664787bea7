import { useEffect } from "preact/hooks";
import type { Keyhall } from "../model.ts";
import { Door } from "./door/door.tsx";
import { held } from "./door/held.ts";
import "./look.ts";
import { Icon, Mark } from "./parts/icon.tsx";
import { useTitle } from "./parts/page.tsx";
import { follow } from "./router.ts";
import { Live } from "./shell/live.tsx";
import { Shell } from "./shell/shell.tsx";

/** App is the whole of it: the door for who is out, the hall for who is in. */
export function App({ keyhall }: { keyhall: Keyhall }) {
  useEffect(follow, []);
  return (
    <>
      <Stage keyhall={keyhall} />
      <Live keyhall={keyhall} />
    </>
  );
}

function Stage({ keyhall }: { keyhall: Keyhall }) {
  const stage = keyhall.stage.value;
  const person = keyhall.person.value;
  if (stage.at === "starting" && held.value === undefined) return <Starting />;
  if (stage.at === "unable") return <Unable why={stage.why} />;
  if (stage.at === "in" && held.value === undefined) return person ? <Shell key={person.account} keyhall={keyhall} person={person} config={stage.config} /> : <Starting />;
  return <Door keyhall={keyhall} config={"config" in stage ? stage.config : {}} ended={stage.at === "out" ? stage.ended : undefined} />;
}

function Starting() {
  return (
    <main class="alone" aria-busy="true">
      <span class="alone-mark">
        <Mark size={56} />
      </span>
      <h1 class="alone-wait">Opening the hall…</h1>
    </main>
  );
}

function Unable({ why }: { why: string }) {
  useTitle("Not here");
  return (
    <main class="alone">
      <span class="alone-mark">
        <Mark size={56} />
      </span>
      <h1>This browser cannot open the hall</h1>
      <p>{why}</p>
      <button type="button" class="button" data-kind="plain" onClick={() => location.reload()}>
        <Icon name="again" size={18} />
        Look again
      </button>
    </main>
  );
}
