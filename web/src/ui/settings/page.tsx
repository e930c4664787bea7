import type { Config, Person, Security } from "../../model.ts";
import { Page, useLoad } from "../parts/index.ts";
import type { SettingsPart } from "../router.ts";
import { Devices } from "./devices.tsx";
import { Look } from "./look.tsx";
import { Sessions } from "./sessions.tsx";
import { SigningIn } from "./signin.tsx";

const parts = [
  ["devices", "Devices"],
  ["signin", "Signing in"],
  ["look", "Look"],
] as const satisfies readonly (readonly [SettingsPart, string])[];

/** SettingsPage is what somebody sets for themselves. */
export function SettingsPage({ person, config, part }: { person: Person; config: Config; part: SettingsPart }) {
  const title = parts.find(([key]) => key === part)![1];
  return (
    <Page
      title={title}
      heading={
        <>
          Settings<span class="unseen">: {title}</span>
        </>
      }
    >
      <nav class="tabs" aria-label="Settings">
        {parts.map(([key, text]) => (
          <a key={key} class="tab" href={`/settings/${key}`} aria-current={key === part ? "page" : undefined}>
            {text}
          </a>
        ))}
      </nav>
      {part === "devices" && <DevicesPart security={person.security} />}
      {part === "signin" && <SigningIn person={person} config={config} />}
      {part === "look" && <Look />}
    </Page>
  );
}

/** DevicesPart shows the devices and who is signed in, both at once: what comes later would move what is there. */
function DevicesPart({ security }: { security: Security }) {
  const devices = useLoad(() => security.devices());
  const sessions = useLoad(() => security.sessions());
  const known = [devices, sessions].every(({ value, problem }) => value !== undefined || problem !== undefined);
  return (
    <>
      <Devices security={security} devices={known ? devices : { ...devices, value: undefined, problem: undefined }} />
      {known && <Sessions security={security} sessions={sessions} onEnded={devices.again} />}
    </>
  );
}
