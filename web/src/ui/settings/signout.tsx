import { useState } from "preact/hooks";
import type { Person } from "../../model.ts";
import { Banner, Button, Confirm, useLoad } from "../parts/index.ts";
import { navigate } from "../router.ts";

/** SignOut signs this browser out, and says first when there would be no way back. */
export function SignOut({ person }: { person: Person }) {
  const [asking, ask] = useState(false);
  return (
    <>
      <Button kind="danger-quiet" icon="leave" onClick={() => ask(true)}>
        Sign out
      </Button>
      {asking && <Ask person={person} onClose={() => ask(false)} />}
    </>
  );
}

function Ask({ person, onClose }: { person: Person; onClose(): void }) {
  const { security } = person;
  const ways = useLoad(async () => {
    const [password, recovery, devices, passkeys] = await Promise.all([security.passwordSet(), security.recoveryMade(), security.devices(), security.passkeys()]);
    return password !== undefined || recovery !== undefined || devices.some((device) => !device.this && !device.revoked) || passkeys.some((passkey) => passkey.opens);
  });
  return (
    <Confirm
      title="Sign out of this browser?"
      yes="Sign out"
      onClose={onClose}
      onYes={async () => {
        await person.signOut();
        navigate("/", { replace: true });
      }}
    >
      <p>The browser forgets your keys, what you have not sent yet, and whom you have verified here.</p>
      {ways.value === false && <Banner kind="warn">You have no password, no recovery code and no other device: nothing would bring you back. Make a recovery code first.</Banner>}
      {ways.problem !== undefined && <Banner kind="warn">The hub does not say just now whether you have a way back. Be sure that you have your password or recovery code.</Banner>}
    </Confirm>
  );
}
