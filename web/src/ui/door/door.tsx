import type { Config, Keyhall } from "../../model.ts";
import { Mark } from "../parts/icon.tsx";
import { route } from "../router.ts";
import { Art } from "./art.tsx";
import { held } from "./held.ts";
import { Join } from "./join.tsx";
import { LinkIn } from "./link.tsx";
import { Welcome } from "./welcome.tsx";

/** Door is every page for who is out: beside the hall, what to do to get in. */
export function Door({ keyhall, config, ended }: { keyhall: Keyhall; config: Config; ended?: string }) {
  return (
    <div class="door">
      <header class="door-hall">
        <Art />
        <a class="door-name" href="/">
          <Mark size={32} />
          <span>Keyhall</span>
        </a>
        <p class="door-words">
          A hall whose members hold the keys.
          <span>What you say and share is sealed in this browser. The hub carries it, and cannot read it.</span>
        </p>
      </header>
      <main id="main" class="door-main" tabIndex={-1}>
        {config.demo && <Demo />}
        <div class="door-page">
          <Way keyhall={keyhall} config={config} ended={ended} />
        </div>
      </main>
    </div>
  );
}

function Way({ keyhall, config, ended }: { keyhall: Keyhall; config: Config; ended?: string }) {
  const page = route.value.page;
  if (held.value === "join" || (page === "join" && held.value === undefined)) return <Join door={keyhall.door} />;
  if (page === "link" && held.value === undefined) return <LinkIn door={keyhall.door} />;
  return <Welcome door={keyhall.door} config={config} ended={ended} />;
}

function Demo() {
  return (
    <p class="door-demo" role="note">
      <strong>This is a throw-away demo.</strong> Whatever you do here is gone when it stops, and everybody knows its passwords.
    </p>
  );
}
