import type { Person, Share } from "../../model.ts";
import { announce, Avatar, Banner, Button, Tag, Time, useTask } from "../parts/index.ts";
import { catalogHref } from "../router.ts";
import { plain } from "../text.ts";

/** Invitations are catalogs that others would share: to accept, or to decline. */
export function Invitations({ person, shares }: { person: Person; shares: readonly Share[] }) {
  return (
    <section class="section" aria-labelledby="invitations">
      <h2 id="invitations">Invitations</h2>
      <ul class="rows">
        {shares.map((share) => (
          <Invitation key={share.grant} person={person} share={share} />
        ))}
      </ul>
    </section>
  );
}

function Invitation({ person, share }: { person: Person; share: Share }) {
  const task = useTask();
  const name = plain(share.name);
  const answer = (yes: boolean) =>
    task.run(async () => {
      await (yes ? person.catalogs.accept(share) : person.catalogs.decline(share));
      announce(yes ? `${name} is open to you now.` : "Declined.");
    });
  return (
    <li class="row">
      <Avatar account={share.owner} handle={share.ownerHandle} />
      <div class="row-text">
        <p class="row-title">
          <bdi>{name}</bdi>
        </p>
        <p class="row-note">
          <bdi>{plain(share.ownerHandle)}</bdi> would share this with you
          <Ending share={share} />
        </p>
        {task.problem && <Banner kind="problem">{task.problem}</Banner>}
      </div>
      <div class="row-ends">
        <Button kind="quiet" size="small" disabled={task.busy} onClick={() => void answer(false)}>
          Decline<span class="unseen"> {name}</span>
        </Button>
        <Button kind="primary" size="small" busy={task.busy} onClick={() => void answer(true)}>
          Accept<span class="unseen"> {name}</span>
        </Button>
      </div>
    </li>
  );
}

function Ending({ share }: { share: Share }) {
  if (share.expires === undefined) return null;
  return (
    <>
      , until <Time at={share.expires} as="day" />
    </>
  );
}

/** Shares are the catalogs one may open, those first whose owner is there. */
export function Shares({ shares }: { shares: readonly Share[] }) {
  const sorted = [...shares].sort((a, b) => Number(b.online ?? false) - Number(a.online ?? false) || a.ownerHandle.localeCompare(b.ownerHandle) || a.name.localeCompare(b.name));
  return (
    <ul class="shares">
      {sorted.map((share) => (
        <li key={share.grant}>
          <a class="share" href={catalogHref(share.ownerHandle, share.catalog)} data-online={share.online}>
            <Avatar account={share.owner} handle={share.ownerHandle} />
            <span class="share-text">
              <bdi class="share-name">{plain(share.name)}</bdi>
              <span class="small quiet">
                of <bdi>{plain(share.ownerHandle)}</bdi>
                <Ending share={share} />
              </span>
            </span>
            <Online online={share.online} />
          </a>
        </li>
      ))}
    </ul>
  );
}

/** Online says whether an owner answers. */
export function Online({ online }: { online: boolean | undefined }) {
  if (online === undefined) return <Tag>looking…</Tag>;
  return online ? (
    <Tag kind="good">
      <span class="here">online</span>
    </Tag>
  ) : (
    <Tag>offline</Tag>
  );
}
