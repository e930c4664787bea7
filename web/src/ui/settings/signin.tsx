import type { Config, Person } from "../../model.ts";
import { Avatar, Banner, Code, Words } from "../parts/index.ts";
import { Passkeys } from "./passkeys.tsx";
import { Password } from "./password.tsx";
import { Provider } from "./provider.tsx";
import { Recovery } from "./recovery.tsx";
import { SignOut } from "./signout.tsx";

/** SigningIn is who one is here, and every way to come back. */
export function SigningIn({ person, config }: { person: Person; config: Config }) {
  const { security } = person;
  return (
    <>
      <Self person={person} />
      {!security.holdsIdentity && (
        <Banner kind="plain">This browser was let in by another device and does not hold the key that is you: password and recovery code are set on a device that you joined or signed in with.</Banner>
      )}
      <Password security={security} handle={person.handle} />
      <Recovery security={security} handle={person.handle} />
      {config.oidc !== undefined && <Provider security={security} provider={config.oidc} />}
      <Passkeys security={security} />
    </>
  );
}

function Self({ person }: { person: Person }) {
  return (
    <div class="card self">
      <Avatar account={person.account} handle={person.handle} size="large" />
      <div class="stack" data-gap="tight">
        <h2>
          <bdi>{person.handle}</bdi>
        </h2>
        <Code text={person.account} label="Account key" />
      </div>
      <div class="self-end">
        <SignOut person={person} />
      </div>
      <details class="door-details self-print">
        <summary>Your fingerprint in words</summary>
        <Words words={person.fingerprint} label="Your fingerprint" />
      </details>
    </div>
  );
}
