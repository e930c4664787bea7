import { useEffect, useState } from "preact/hooks";
import type { Config, Keyhall, Person } from "../../model.ts";
import { CatalogsPage } from "../catalogs/page.tsx";
import { Avatar } from "../parts/person.tsx";
import { ButtonLink } from "../parts/button.tsx";
import { Icon, Mark, type IconName } from "../parts/icon.tsx";
import { press, useKeys } from "../parts/keys.ts";
import { Page } from "../parts/page.tsx";
import { Empty } from "../parts/waiting.tsx";
import { PeoplePage } from "../people/page.tsx";
import { RoomsPage } from "../rooms/page.tsx";
import { carried, navigate, route, type Route } from "../router.ts";
import { SettingsPage } from "../settings/page.tsx";
import { Network } from "./network.tsx";
import { Already } from "./already.tsx";
import { Shortcuts } from "./shortcuts.tsx";

const places = [
  { page: "rooms", href: "/rooms", text: "Rooms", icon: "rooms", key: "r" },
  { page: "catalogs", href: "/catalogs", text: "Catalogs", icon: "catalogs", key: "c" },
  { page: "people", href: "/people", text: "People", icon: "people", key: "p" },
  { page: "settings", href: "/settings/devices", text: "Settings", icon: "settings", key: "s" },
] as const satisfies readonly { page: Route["page"]; href: string; text: string; icon: IconName; key: string }[];

/** Shell is the hall: where one can go at its side, and the page one is on. */
export function Shell({ keyhall, person, config }: { keyhall: Keyhall; person: Person; config: Config }) {
  const [listed, list] = useState(false);
  const at = route.value;
  useEffect(() => {
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  useEffect(() => {
    if (at.page === "home") navigate("/rooms", { replace: true });
    if (at.page === "link") navigate(carried.value === undefined ? "/rooms" : "/settings/devices", { replace: true });
  }, [at.page]);
  useKeys([...places.map(({ key, text, href }) => ({ keys: `g ${key}`, does: `Go to ${text.toLowerCase()}`, run: () => navigate(href) })), { keys: "?", does: "Show these keys", run: () => list(true) }]);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>
        Skip to the page
      </a>
      <Side person={person} demo={config.demo} keyhall={keyhall} page={at.page} />
      <main id="main" class="main" tabIndex={-1}>
        <Inside keyhall={keyhall} person={person} config={config} at={at} />
      </main>
      {listed && <Shortcuts onClose={() => list(false)} />}
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Side({ person, demo, keyhall, page }: { person: Person; demo?: boolean; keyhall: Keyhall; page: Route["page"] }) {
  return (
    <header class="side">
      <a class="side-home" href="/rooms" aria-label="Keyhall, rooms">
        <Mark />
        <span class="side-name">Keyhall</span>
      </a>
      {demo && (
        <p class="side-demo">
          Demo<span class="side-demo-more">: everything here is thrown away</span>
        </p>
      )}
      <nav class="side-nav" aria-label="Places">
        {places.map((place) => (
          <a key={place.page} class="side-place" href={place.href} aria-current={place.page === page ? "page" : undefined}>
            <span class="side-arch">
              <Icon name={place.icon} size={22} />
              {place.page === "rooms" && <Count of={unread(person)} what="unread" />}
              {place.page === "catalogs" && <Count of={person.catalogs.offered.value} what="to answer" />}
            </span>
            <span>{place.text}</span>
          </a>
        ))}
      </nav>
      <div class="side-end">
        <Network network={keyhall.network} />
        <a class="side-self" href="/settings/signin">
          <span class="unseen">You are </span>
          <Avatar account={person.account} handle={person.handle} size="small" />
          <bdi class="side-handle">{person.handle}</bdi>
        </a>
      </div>
    </header>
  );
}

const unread = (person: Person): number => (person.rooms.list.value ?? []).reduce((sum, room) => sum + (room.role ? room.unread : 0), 0);

/** Count is how much waits at a place. */
function Count({ of, what }: { of: number; what: string }) {
  if (of === 0) return null;
  return (
    <span class="side-count">
      {of > 99 ? "99+" : of}
      <span class="unseen"> {what}</span>
    </span>
  );
}

function Inside({ keyhall, person, config, at }: { keyhall: Keyhall; person: Person; config: Config; at: Route }) {
  switch (at.page) {
    case "home":
    case "link":
      return null;
    case "rooms":
      return <RoomsPage keyhall={keyhall} person={person} route={at} />;
    case "catalogs":
      return <CatalogsPage keyhall={keyhall} person={person} route={at} />;
    case "people":
      return <PeoplePage person={person} />;
    case "settings":
      return <SettingsPage person={person} config={config} part={at.part} />;
    case "join":
      return <Already person={person} />;
    case "unknown":
      return <Unknown path={at.path} />;
  }
}

function Unknown({ path }: { path: string }) {
  return (
    <Page title="There is no such page">
      <Empty icon="door" title="Nothing behind this door" ends={<ButtonLink href="/rooms">Go to your rooms</ButtonLink>}>
        <bdi>{path}</bdi> is not an address of this hall. The link may be mistyped, or from another version.
      </Empty>
    </Page>
  );
}
