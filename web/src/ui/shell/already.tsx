import type { Person } from "../../model.ts";
import { Banner, ButtonLink, Page } from "../parts/index.ts";
import { SignOut } from "../settings/signout.tsx";
import { carried } from "../router.ts";

/** Already is where an invite leads somebody who is in: it is for somebody new. */
export function Already({ person }: { person: Person }) {
  return (
    <Page title="You are in already">
      <div class="stack">
        <p>
          An invite makes a new person, and this browser is signed in as <bdi>{person.handle}</bdi>. Pass the invite on to whom it was meant for, or open it in another browser or a
          private window.
        </p>
        {carried.value !== undefined && <Banner>The invite has not been used.</Banner>}
        <div class="line">
          <ButtonLink href="/rooms" kind="primary">
            Go to your rooms
          </ButtonLink>
          <SignOut person={person} />
        </div>
      </div>
    </Page>
  );
}
