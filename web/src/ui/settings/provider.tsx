import { useState } from "preact/hooks";
import type { Security } from "../../model.ts";
import { announce, Button, Confirm, Show, useLoad } from "../parts/index.ts";
import { Section } from "./section.tsx";

/** Provider binds the login at the host's identity provider to this person. */
export function Provider({ security, provider }: { security: Security; provider: string }) {
  const bound = useLoad(() => security.providerBound());
  const [asking, ask] = useState(false);
  return (
    <Section title={provider} lead="It says who you are and brings no keys: in a fresh browser, another device or your recovery code does.">
      <Show loaded={bound} bones={<div class="bone-line" />}>
        {(is) => (
          <div class="setting">
            <p>{is ? "Your login there signs you in here." : "Not bound."}</p>
            {is ? (
              <Button kind="danger-quiet" onClick={() => ask(true)}>
                Unbind
              </Button>
            ) : (
              <Button onClick={() => security.bindProvider()}>Bind my login</Button>
            )}
          </div>
        )}
      </Show>
      {asking && (
        <Confirm
          title={`Unbind ${provider}?`}
          yes="Unbind"
          onClose={() => ask(false)}
          onYes={async () => {
            await security.unbindProvider();
            announce("Unbound.");
            await bound.again();
          }}
        >
          <p>Your login at {provider} signs you in here no more.</p>
        </Confirm>
      )}
    </Section>
  );
}
